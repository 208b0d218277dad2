"""The table that a COPY fills or reads, and the keys of its columns in rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table, TableClause, exc, inspect


class CopyTable:
    """A Table, an ``sa.table()`` or a mapped class's table, with its columns by their row keys."""

    def __init__(self, subject: Any) -> None:
        """Resolve ``subject``; raise ArgumentError if it is none of these."""
        self.mapper: Any = None
        self.constants: dict[Column[Any], Any] = {}
        if isinstance(subject, TableClause):
            # the columns of sa.table() have only a name and a type, which is enough
            self.table: Any = subject
            self.columns: dict[str, Any] = dict(subject.columns.items())
            return
        self.mapper = mapper = inspect(subject, raiseerr=False)
        if not getattr(mapper, "is_mapper", False):
            raise exc.ArgumentError(f"COPY takes a Table or a mapped class, not {subject!r}")
        table = mapper.local_table
        if len(mapper.tables) != 1 or not isinstance(table, Table):
            raise exc.ArgumentError(
                f"{mapper.class_.__name__} is mapped to more than one table: COPY fills one; "
                "pass the Table"
            )
        self.table = table
        self.columns = {
            attribute.key: column
            for attribute in mapper.column_attrs
            for column in attribute.columns
            if isinstance(column, Column) and column.table is table
        }
        # values that the ORM would set at a flush
        if mapper.polymorphic_on is not None and mapper.polymorphic_identity is not None:
            if mapper.polymorphic_on in table.c.values():
                self.constants[mapper.polymorphic_on] = mapper.polymorphic_identity
        if mapper.version_id_col is not None and mapper.version_id_generator:
            self.constants[mapper.version_id_col] = mapper.version_id_generator(None)

    def named(self, name: object) -> tuple[str, Any]:
        """Return the row key and the column for a key, a column or an attribute."""
        if isinstance(name, str):
            if name in self.columns:
                return name, self.columns[name]
        else:
            wanted = getattr(name, "__clause_element__", lambda: name)()
            for key, column in self.columns.items():
                if column is wanted or column in getattr(wanted, "proxy_set", ()):
                    return key, column
        raise exc.CompileError(f"Unconsumed column names: {name}")
