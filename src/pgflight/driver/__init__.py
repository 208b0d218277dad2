"""The one room that touches asyncpg beyond its public API, gated by capability.

Level ``public`` uses only asyncpg's documented API.  Level ``private`` also uses the names that
:mod:`pgflight.driver.capability` lists; each is looked for when this package is imported, and if
one is missing the public path is used.  ``PGFLIGHT_DRIVER=public|private|auto`` (default ``auto``)
chooses the level.
"""

from __future__ import annotations

from .capability import LEVELS as LEVELS
from .capability import Capabilities as Capabilities
from .capability import Capability as Capability
from .capability import can_pipeline as can_pipeline
from .capability import capabilities as capabilities
from .capability import is_private as is_private
from .capability import pipeline_capability as pipeline_capability
from .capability import stepped_aside as stepped_aside
from .contracts import Connection as Connection
from .contracts import Statement as Statement
from .contracts import Transaction as Transaction
from .contracts import Transport as Transport
from .copying.copy_watch import CopyWatch as CopyWatch
from .copying.copying import CopyTarget as CopyTarget
from .copying.copying import command_timeout as command_timeout
from .copying.copying import copy_out as copy_out
from .copying.copying import copy_records as copy_records
from .copying.copying import copy_text as copy_text
from .copying.copying import custom_codec_format as custom_codec_format
from .copying.copying import has_binary_form as has_binary_form
from .ends.awaited_ends import end as end
from .ends.leaving import can_leave as can_leave
from .ends.leaving import leave as leave
from .error_texts import count_elements_from as count_elements_from
from .error_texts import refusal as refusal
from .error_texts import refused_value as refused_value
from .error_texts import says_connection_is_closed as says_connection_is_closed
from .error_texts import server_severity as server_severity
from .error_texts import shown as shown
from .error_texts import with_our_pool_hint as with_our_pool_hint
from .execution import IDLE as IDLE
from .execution import IN_TRANSACTION as IN_TRANSACTION
from .execution import UnknownStatus as UnknownStatus
from .execution import check_text as check_text
from .execution import counter as counter
from .execution import executor as executor
from .execution import fetch as fetch
from .execution import name_of as name_of
from .execution import operations as operations
from .execution import parameters_of as parameters_of
from .execution import receive_in_bulk as receive_in_bulk
from .execution import settle as settle
from .execution import transaction_status as transaction_status
from .futures import retrieve as retrieve
from .known_types import FIRST_USER_OID as FIRST_USER_OID
from .known_types import UUID_CLASSES as UUID_CLASSES
from .known_types import NumericPlaces as NumericPlaces
from .known_types import check_numerics as check_numerics
from .known_types import first_too_large as first_too_large
from .known_types import numeric_error as numeric_error
from .known_types import register_array_types as register_array_types
from .known_types import set_binary_codec as set_binary_codec
from .known_types import set_codec as set_codec
from .known_types import unchecked_numerics as unchecked_numerics
from .login.authentication import NOTHING_ASKED as NOTHING_ASKED
from .login.authentication import Seen as Seen
from .login.authentication import see_login as see_login
from .login.parsed_arguments import ParsedArguments as ParsedArguments
from .login.watched_loop import LoginLoop as LoginLoop
from .pipeline import BEGIN_EARLY as BEGIN_EARLY
from .pipeline import Pipeline as Pipeline
from .pipeline import forget_ended as forget_ended
from .pipeline import forget_transaction as forget_transaction
from .pipeline import has_listeners as has_listeners
from .pipeline import has_transaction as has_transaction
from .pipeline import open_pipeline as open_pipeline
from .poolers.described import DescribedStatement as DescribedStatement
from .poolers.described_elsewhere import FirstStatement as FirstStatement
from .poolers.described_elsewhere import note_description as note_description
from .poolers.described_elsewhere import prepared_unsent as prepared_unsent
from .poolers.known import Known as Known
from .poolers.preparing import Preparer as Preparer
from .poolers.proof import PROCESS as PROCESS
from .poolers.proof import is_direct as is_direct
from .poolers.route import Route as Route
from .portals import open_portal as open_portal
from .sender import Closing as Closing
from .sender import Sender as Sender
from .sender import open_sender as open_sender
from .sender import take_dropped as take_dropped
from .sockets import FINDS_DEAD_PEERS as FINDS_DEAD_PEERS
from .sockets import abandon as abandon
from .sockets import apply_socket_options as apply_socket_options
from .sockets import check_socket_options as check_socket_options
from .sockets import closes_in_time as closes_in_time
from .sockets import drop as drop
from .sockets import pending_input as pending_input
from .sockets import ping as ping
from .time_bounds import TimeBound as TimeBound
from .time_bounds import within as within
from .watching import CALLS as CALLS
from .watching import COPIES as COPIES
from .watching import LOGGED as LOGGED
from .watching import Watch as Watch
from .watching import open_watch as open_watch
from .watching import pending_lines as pending_lines
from .watching import tell_pending as tell_pending
from .watching import watchers as watchers
