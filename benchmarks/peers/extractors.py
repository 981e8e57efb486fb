"""Tools that read a project's lists from where they stopped, and know no single issue: Airbyte's and Singer's.

Each is its own program in its own environment and writes what it read to stdout as lines of JSON, which another
program would store; that is not measured here, which is in their favour.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import environment, program
from benchmarks.peers.measuring import Taken, measured, must_succeed
from benchmarks.peers.ours import PROJECT
from surgical_pipeline.sandbox.control_client import SandboxControl

AIRBYTE, SINGER = "airbyte-source-gitlab", "tap-gitlab"
DEPENDENTS = ("note", "discussion", "event")
"""A stream that reads what belongs to an issue has one of these in its name."""
Records = dict[int, Mapping[str, Any]]


@dataclass
class Extractor:
    """One of the two, and what a destination would hold of it: the last record of each issue, by its IID."""

    name: str
    folder: Path
    command: Sequence[str]
    streams: list[str] = field(default_factory=list)
    issues: Records = field(default_factory=dict)

    def read(self, control: SandboxControl) -> Taken:
        """From where it stopped, or everything if it never ran. Its own state is kept for the next time."""
        state = self.folder / "state.json"
        words: list[str | Path] = [
            *self.command,
            "--config",
            self.folder / "config.json",
            "--catalog",
            self.folder / "catalog.json",
        ]
        words += ["--state", state] if state.exists() else []
        taken = must_succeed(measured(words, cwd=self.folder, environment={}, control=control), self.name)
        for line in taken.stdout.splitlines():
            message = json.loads(line)
            if (record := self._record(message)) is not None:
                self.issues[record["iid"]] = record
            if message["type"] == "STATE":
                known = message["value"] if self.name == SINGER else [message["state"]]
                state.write_text(json.dumps(known), encoding="utf-8")
        return taken

    def _record(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if message["type"] != "RECORD":
            return None
        inner: Mapping[str, Any] = message if self.name == SINGER else message["record"]
        if inner["stream"] != "issues":
            return None
        record: Mapping[str, Any] = inner["record" if self.name == SINGER else "data"]
        return record

    @property
    def dependents(self) -> list[str]:
        """Its streams of what belongs to an issue."""
        return [name for name in self.streams if any(word in name for word in DEPENDENTS)]


def airbyte(folder: Path, *, url: str, token: str) -> Extractor:
    """Of the project's issues, by `updated_after`."""
    folder.mkdir()
    program_of_it = str(environment("airbyte") / "source-gitlab")
    _write(
        folder / "config.json",
        {
            "credentials": {"auth_type": "access_token", "access_token": token},
            "api_url": url,
            "projects_list": [PROJECT],
        },
    )
    told = measured([program_of_it, "discover", "--config", folder / "config.json"], cwd=folder, environment={})
    must_succeed(told, AIRBYTE)
    found = next(line["catalog"]["streams"] for line in _lines(told) if line["type"] == "CATALOG")
    wanted = [
        {
            "stream": stream,
            "sync_mode": "incremental",
            "destination_sync_mode": "append_dedup",
            "cursor_field": stream["default_cursor_field"],
        }
        for stream in found
        if stream["name"] == "issues"
    ]
    _write(folder / "catalog.json", {"streams": wanted})
    return Extractor(AIRBYTE, folder, [program_of_it, "read"], [stream["name"] for stream in found])


def singer(folder: Path, *, url: str, token: str) -> Extractor:
    """Of the project's issues. Every stream's fields are chosen, of the streams the project and its issues."""
    folder.mkdir()
    command = program("tap_gitlab_at", of="singer")
    _write(
        folder / "config.json",
        {
            "private_token": token,
            "start_date": "2014-01-01T00:00:00Z",
            "groups": "",
            "projects": PROJECT,
            "api_url": url,
        },
    )
    told = measured([*command, "--config", folder / "config.json", "--discover"], cwd=folder, environment={})
    catalog = json.loads(must_succeed(told, SINGER).stdout)
    for stream in catalog["streams"]:
        for one in stream["metadata"]:
            one["metadata"]["selected"] = bool(one["breadcrumb"]) or stream["stream"] in ("issues", "projects")
    _write(folder / "catalog.json", catalog)
    return Extractor(SINGER, folder, command, [stream["stream"] for stream in catalog["streams"]])


def base_url_of_singer(folder: Path, url: str) -> str:
    """Which address the tap would ask as it is shipped, if its configuration names another."""
    asked = f"from tap_gitlab.client import Client; print(Client({{'api_url': {url!r}}}).base_url)"
    told = measured([environment("singer") / "python", "-c", asked], cwd=folder, environment={})
    return must_succeed(told, SINGER).stdout.strip()


def _lines(taken: Taken) -> Iterator[dict[str, Any]]:
    for line in taken.stdout.splitlines():
        yield json.loads(line)


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
