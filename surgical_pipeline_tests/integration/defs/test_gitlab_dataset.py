"""Other people's assets take ours as DataFrames, merged with our Definitions as they do it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from surgical_pipeline.dataset import Dataset
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.gitlab_dataset import GitLabDataset
from surgical_pipeline.ledger.copying import copy_ledger
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.postgres.rows import PostgresRows
from surgical_pipeline_tests.integration.dataset.everything import filled_ledger
from surgical_pipeline_tests.integration.dataset.given import bring, issue_of
from surgical_pipeline_tests.postgres_server import PASSWORD, PostgresServer

READER = "gitlab_dataset"


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SURGICAL_PUBLISH", str(home / "published"))
    return home / "published"


@pytest.fixture
def filled(folder: Path) -> DuckDBLedger:
    return filled_ledger(folder.with_name("ledger.duckdb"))


def taking(key: str, *, kind: Any = pd.DataFrame, partitions: Any = None, **metadata: Any) -> dg.AssetsDefinition:
    """Somebody's asset with one input, which gives as metadata what it got."""

    def theirs(given: Any) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"kind": type(given).__name__, "got": _told(given)})

    theirs.__annotations__["given"] = kind
    ins = {"given": dg.AssetIn(key.split("/"), input_manager_key=READER, metadata=metadata)}
    policy = dg.BackfillPolicy.single_run() if partitions else None
    return dg.asset(ins=ins, partitions_def=partitions, backfill_policy=policy)(theirs)


def _told(given: Any) -> dg.MetadataValue:
    if isinstance(given, Dataset):
        given = given.sql("SELECT title FROM issues")
    rows: dict[str, Any] = given.to_pydict() if isinstance(given, pa.Table) else given.to_dict("list")
    return dg.MetadataValue.json({name: rows[name] for name in ("iid", "title", "id", "name") if name in rows})


def run(
    *assets: dg.AssetsDefinition,
    resources: dict[str, Any] | None = None,
    partition: str | tuple[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """In a code location that does not load our Definitions, which is quicker."""
    made = {key for asset in assets for key in asset.keys}
    ours = [dg.AssetSpec(key) for key in {key for asset in assets for key in asset.dependency_keys} - made]
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [*assets, *ours],
            resources={READER: GitLabDataset(), **(resources or {})},
            instance=instance,
            raise_on_error=False,
            **_tags(partition),
        )


def _tags(partition: str | tuple[str, str] | None) -> dict[str, Any]:
    if isinstance(partition, tuple):
        names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        return {"tags": dict(zip(names, partition, strict=True))}
    return {"partition_key": partition}


def got(result: dg.ExecuteInProcessResult) -> tuple[Any, Any]:
    assert result.success, said(result)
    event = result.get_asset_materialization_events()[0]
    metadata = event.step_materialization_data.materialization.metadata
    return metadata["kind"].value, metadata["got"].value


def observed(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_observation_events()
    return {name: value.value for name, value in event.asset_observation_data.asset_observation.metadata.items()}


def said(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert told is not None, failed.step_failure_data.error
    return str(told.description)


def test_an_asset_comes_as_a_data_frame_from_the_published_copy(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    result = run(taking("gitlab/issues"))
    assert got(result) == ("DataFrame", {"iid": [1], "title": ["open"], "id": [1]})
    told = observed(result)
    assert (told["version"], told["table"], told["rows"]) == (1, "issues", 1)
    assert "published version 1" in told["read from"]
    assert 0 < told["age (seconds)"] < 600
    assert "made at" in told


@pytest.mark.usefixtures("filled")
def test_where_nothing_is_published_it_comes_from_the_ledger_and_the_metadata_says_so() -> None:
    result = run(taking("gitlab/issues"))
    assert got(result)[1]["iid"] == [1]
    told = observed(result)
    assert (told["version"], told["age (seconds)"]) == ("none: the ledger was read", 0)
    assert "the ledger" in told["read from"]


def test_it_comes_from_a_ledger_in_postgresql_in_the_same_way(
    filled: DuckDBLedger, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.temporary() as database:
        copy_ledger(DuckDBRows(filled), PostgresRows(postgres.ledger(database)))
        monkeypatch.setenv("SURGICAL_LEDGER", postgres.url(database))
        result = run(taking("gitlab/issues", labels=["bug"], columns=["iid", "title"], updated_after="2026-05-01"))
        assert got(result) == ("DataFrame", {"iid": [1], "title": ["open"]})
        assert PASSWORD not in str(observed(result))
        assert got(run(taking("gitlab/discussions", kind=pa.Table, table="notes")))[1]["id"] == [10]


def test_what_is_confidential_comes_only_where_it_is_published(
    filled: DuckDBLedger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not there is a copy: what an asset gets does not hang on that."""
    for confidential, rows in ((False, [1]), (True, [1, 2])):
        monkeypatch.setenv("SURGICAL_PUBLISH_CONFIDENTIAL", str(confidential).lower())
        monkeypatch.delenv("SURGICAL_PUBLISH", raising=False)
        assert sorted(got(run(taking("gitlab/issues")))[1]["iid"]) == rows
        monkeypatch.setenv("SURGICAL_PUBLISH", str(folder))
        publish(filled, folder, confidential=confidential)
        assert sorted(got(run(taking("gitlab/issues")))[1]["iid"]) == rows


@pytest.mark.parametrize(
    ("key", "metadata", "kind", "rows"),
    [
        ("gitlab/issues", {"labels": ["bug"], "columns": ["iid"]}, pd.DataFrame, {"iid": [1]}),
        ("gitlab/issues", {"updated_after": "2030-01-01", "columns": ["iid"]}, pd.DataFrame, {"iid": []}),
        ("gitlab/issues", {"columns": ["title"], "project": "acme/rocket"}, pa.Table, {"title": ["open"]}),
        ("gitlab/issues", {"columns": ["title"]}, Any, {"title": ["open"]}),
        ("gitlab/merge_requests", {"columns": ["title"]}, pd.DataFrame, {"title": ["change"]}),
        ("gitlab/discussions", {"table": "notes", "columns": ["id"]}, pd.DataFrame, {"id": [10]}),
        ("gitlab/resource_events", {"table": "label_events", "columns": ["id"]}, pa.Table, {"id": [1000]}),
        ("documents", {"columns": ["title"]}, pd.DataFrame, {"title": ["Title of open"]}),
        (
            "published",
            {"table": "labels", "noteable_iid": 1, "columns": ["name"]},
            pd.DataFrame,
            {"name": ["bug"]},
        ),
    ],
)
def test_metadata_of_the_input_chooses_table_columns_and_rows(
    filled: DuckDBLedger, folder: Path, key: str, metadata: dict[str, Any], *, kind: Any, rows: dict[str, Any]
) -> None:
    publish(filled, folder, also=["documents"])
    expected = "Table" if kind is pa.Table else "DataFrame"
    assert got(run(taking(key, kind=kind, **metadata))) == (expected, rows)


def test_an_input_can_take_the_whole_published_copy(filled: DuckDBLedger, folder: Path) -> None:
    asset = taking("published", kind=Dataset)
    assert "nothing is published: set SURGICAL_PUBLISH and publish" in said(run(asset))
    publish(filled, folder)
    assert got(run(asset)) == ("Dataset", {"title": ["open"]})


def test_all_inputs_of_a_step_are_of_one_version_and_the_next_step_sees_the_next(
    filled: DuckDBLedger, folder: Path
) -> None:
    """Between two inputs of the first step, and after it, somebody publishes."""
    publish(filled, folder)

    def again() -> None:
        bring(filled, issue_of(100 + len(seen)))
        publish(filled, folder)

    seen: list[tuple[int, int]] = []

    class Publishing(GitLabDataset):
        """As ours, and a copy is published after each input."""

        def load_input(self, context: dg.InputContext) -> Any:
            given = super().load_input(context)
            again()
            return given

    def theirs(name: str, deps: list[str]) -> dg.AssetsDefinition:
        ins = {
            one: dg.AssetIn(["gitlab", "issues"], input_manager_key="publishing", metadata={"columns": ["iid"]})
            for one in ("first", "second")
        }

        @dg.asset(name=name, ins={"first": ins["first"]}, deps=deps)
        def single(first: pd.DataFrame) -> None:
            seen.append((len(first), len(first)))

        @dg.asset(
            name=name,
            ins={
                "first": ins["first"],
                "second": dg.AssetIn(
                    ["gitlab", "merge_requests"], input_manager_key="publishing", metadata={"columns": ["iid"]}
                ),
                "third": dg.AssetIn(
                    "published", input_manager_key="publishing", metadata={"table": "issues", "columns": ["iid"]}
                ),
            },
        )
        def several(first: pd.DataFrame, second: pd.DataFrame, third: pd.DataFrame) -> None:
            assert len(second) == 1
            seen.append((len(first), len(third)))

        return single if deps else several

    result = run(theirs("one", []), theirs("two", ["one"]), resources={"publishing": Publishing()})
    assert result.success
    assert seen[0] == (1, 1)
    assert seen[1][0] > 1


@pytest.mark.parametrize(
    ("key", "metadata", "kind", "words"),
    [
        ("gitlab/issue", {}, pd.DataFrame, "gitlab/issue is no asset of GitLab's data. There are gitlab/issues"),
        ("gitlab/issues", {"labls": ["bug"]}, pd.DataFrame, "no column of issues 'labls': did you mean labels"),
        ("gitlab/issues", {"columns": ["nothing"]}, pd.DataFrame, "no column of issues 'nothing'"),
        ("gitlab/issues", {"table": "isues"}, pd.DataFrame, "no table 'isues': did you mean issues"),
        ("gitlab/issues", {"labels": 5}, pd.DataFrame, "labels holds texts"),
        ("gitlab/issues", {}, int, "given is annotated as builtins.int: pandas.DataFrame, pyarrow.Table"),
        ("gitlab/resource_events", {}, pd.DataFrame, "names one of label_events, state_events"),
        ("documents", {}, pd.DataFrame, "publish with SURGICAL_PUBLISH_WITH=documents"),
    ],
)
def test_what_cannot_be_had_fails_the_step_in_a_sentence(
    filled: DuckDBLedger, folder: Path, key: str, metadata: dict[str, Any], *, kind: Any, words: str
) -> None:
    publish(filled, folder)
    assert words in said(run(taking(key, kind=kind, **metadata)))


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SURGICAL_LEDGER", "none.duckdb", "There is no ledger at"),
        ("SURGICAL_PUBLISH", "/proc/version", "is a file: name a folder"),
        ("SURGICAL_PUBLISH_CONFIDENTIAL", "perhaps", "must be true or false"),
    ],
)
@pytest.mark.usefixtures("filled")
def test_settings_that_cannot_be_fail_the_step_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert words in said(run(taking("gitlab/issues")))


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # runs of several partitions are beta in Dagster
def test_partitions_choose_rows_by_the_column_that_is_named(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    projects = dg.StaticPartitionsDefinition(["acme/rocket", "acme/engine"])
    asset = taking("gitlab/issues", partitions=projects, partition_by="project", columns=["iid"])
    assert [got(run(asset, partition=one))[1]["iid"] for one in ("acme/rocket", "acme/engine")] == [[1], []]
    days = dg.DailyPartitionsDefinition("2026-05-01")
    asset = taking("gitlab/issues", partitions=days, partition_by="updated_at", columns=["iid"])
    assert [got(run(asset, partition=f"2026-05-0{day}"))[1]["iid"] for day in (3, 4, 5)] == [[], [1], []]
    assert got(run(asset, partition=("2026-05-02", "2026-05-04")))[1]["iid"] == [1]
    asset = taking("gitlab/issues", partitions=days, columns=["iid"])
    assert got(run(asset, partition="2026-05-03"))[1]["iid"] == [1], (
        "unless it is asked for, partitions are theirs"
    )


def test_it_reads_the_place_that_its_path_names(filled: DuckDBLedger, folder: Path, tmp_path: Path) -> None:
    publish(filled, folder)
    elsewhere = filled_ledger(tmp_path / "elsewhere.duckdb")
    bring(elsewhere, issue_of(9))

    @dg.asset(ins={"given": dg.AssetIn(["gitlab", "issues"], input_manager_key="other")})
    def theirs(given: pd.DataFrame) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(
            metadata={"kind": "", "got": dg.MetadataValue.json(sorted(given["iid"].tolist()))}
        )

    other = GitLabDataset(path=str(elsewhere.path))
    assert got(run(theirs, resources={"other": other}))[1] == [1, 9]


def test_with_a_prefix_before_our_keys_it_gives_the_same(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    assert got(run(taking("acme/gitlab/issues", columns=["iid"])))[1] == {"iid": [1]}


def test_it_is_in_our_definitions_for_those_who_merge_them(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)
    job = dg.define_asset_job("theirs", selection=["theirs"])
    theirs = dg.Definitions(assets=[taking("gitlab/issues")], jobs=[job])
    with dg.DagsterInstance.get() as instance:
        merged = dg.Definitions.merge(defs, theirs).resolve_job_def("theirs")
        assert got(merged.execute_in_process(instance=instance))[1]["iid"] == [1]


def test_it_only_reads(filled: DuckDBLedger, folder: Path) -> None:
    publish(filled, folder)

    @dg.asset(io_manager_key=READER)
    def theirs() -> int:
        return 5

    assert "gitlab_dataset only reads, and result of theirs would be written with it" in said(run(theirs))


def test_nothing_stays_open_after_a_run(filled: DuckDBLedger, folder: Path) -> None:
    """Else the process of a code location would keep every version that it ever read."""
    publish(filled, folder)
    closed: list[str] = []
    close: Callable[[Dataset], None] = Dataset.close

    def noted(dataset: Dataset) -> None:
        closed.append(dataset.location)
        close(dataset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dataset, "close", noted)
        run(taking("gitlab/issues"))
        run(taking("gitlab/issues", labls=["bug"]))
    assert len(closed) == 2
