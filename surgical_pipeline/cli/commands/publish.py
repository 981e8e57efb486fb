"""`surgical-pipeline publish`: a copy of what was synced, for everybody who reads."""

from typing import Annotated

import typer


def publish(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Publish a new version of the copy in SURGICAL_PUBLISH. Syncs wait only while the ledger's file is copied."""
    from surgical_pipeline.cli.environment import (
        EXIT_USAGE,
        dataset_errors,
        existing_ledger,
        fail,
        ledger_errors,
        usage_errors,
    )
    from surgical_pipeline.cli.terminal import print_json, say
    from surgical_pipeline.dataset.publish_settings import PublishSettings
    from surgical_pipeline.dataset.publishing import publish_as_set
    from surgical_pipeline.ledger.opening import open_copyable
    from surgical_pipeline.settings import Settings

    settings = Settings.from_environment()
    with usage_errors():
        if PublishSettings.of(settings).folder is None:
            fail("SURGICAL_PUBLISH is not set: export the folder for the published copies", code=EXIT_USAGE)
    existing_ledger(settings)
    with usage_errors(), ledger_errors(), dataset_errors():
        done = publish_as_set(open_copyable(settings), settings)
    manifest = done.manifest
    if as_json:
        print_json(
            {
                "path": str(done.path),
                "removed": done.removed,
                **manifest.model_dump(exclude={"tables"}),
                "rows": {name: table.rows for name, table in manifest.tables.items()},
            }
        )
    else:
        rows = sum(table.rows for table in manifest.tables.values())
        say(
            f"version {manifest.version} in {done.path}: {rows:,} rows in {len(manifest.tables)} tables, "
            f"{manifest.seconds:.1f} s; the ledger was held for {manifest.window_ms:.0f} ms"
        )
