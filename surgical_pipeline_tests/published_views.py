"""What is made from the tables' columns: the views' SQL and the tables in docs/data.md; run it to write them."""

import hashlib
import re

from surgical_pipeline.dataset.columns import ColumnType
from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.dataset.views import DIALECTS, views_sql
from surgical_pipeline.ledger import sql
from surgical_pipeline_tests.surroundings import REPOSITORY

SQL = REPOSITORY / "surgical_pipeline" / "ledger" / "sql" / "views"
MANUAL = REPOSITORY / "docs" / "data.md"
BEGIN, END = "<!-- made by `make views` -->", "<!-- end -->"

_WORDS = {
    ColumnType.TEXT: "text",
    ColumnType.INTEGER: "integer",
    ColumnType.NUMBER: "number",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIME: "time",
    ColumnType.DAY: "date",
    ColumnType.TEXTS: "list of text",
    ColumnType.VECTOR: "list of numbers",
}


def fingerprint(database: str) -> str:
    """Of the views as a ledger in that database makes them."""
    return hashlib.sha256(sql.views(database).encode()).hexdigest()[:16]


def announced(database: str) -> str | None:
    """The fingerprint of the views that the last migration with views names."""
    found = [re.search(r"^-- views: (\w+)$", one.text, flags=re.MULTILINE) for one in sql.migrations(database)]
    return [match[1] for match in found if match][-1] if any(found) else None


def tables() -> str:
    """The tables as docs/data.md tells them."""
    parts = []
    for table in TABLES.values():
        also = f" `all_{table.name}` has deleted ones too, with `deleted_at`." if table.deletable else ""
        parts += [
            f"### {table.name}\n\nEach row: {table.rows}.{also}\n\n| column | type | meaning |\n|---|---|---|",
            *(
                f"| `{one.name}` | {_WORDS[one.type]} | {one.meaning.replace('|', chr(92) + '|')} |"
                for one in table.columns
            ),
            "",
        ]
    return "\n".join(parts)


def manual(text: str) -> str:
    """The manual with its tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables()}{END}{rest.partition(END)[2]}"


def main() -> None:
    for dialect in DIALECTS:
        (SQL / f"{dialect.name}.sql").write_text(views_sql(dialect), encoding="utf-8")
    MANUAL.write_text(manual(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")
    sql.views.cache_clear()
    for dialect in DIALECTS:
        if announced(dialect.name) != (now := fingerprint(dialect.name)):
            line = f"-- views: {now}"
            print(f"The views changed: add a migration for {dialect.name} with the line `{line}`.")  # noqa: T201


if __name__ == "__main__":
    main()
