"""Whether anybody watches asyncpg: tracers, subclasses, proxies, query loggers.

The built-in dialect calls methods of asyncpg that our shortcuts go past.  Where one of them is
replaced, the shortcut steps aside and the call is made, so that its watcher sees it.  Used by the
rest of the driver room, and through it by the rooms above.
"""

from __future__ import annotations

from .marks import VALID as VALID
from .names import CLASSES as CLASSES
from .telling import pending_lines as pending_lines
from .telling import tell_pending as tell_pending
from .watch import CALLS as CALLS
from .watch import COPIES as COPIES
from .watch import LOGGED as LOGGED
from .watch import PROTOCOL as PROTOCOL
from .watch import STATEMENT as STATEMENT
from .watch import TRANSACTION as TRANSACTION
from .watch import State as State
from .watch import Watch as Watch
from .watch import open_watch as open_watch
from .watch import watchers as watchers
