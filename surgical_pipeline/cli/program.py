"""The command line as a process: streams that are full, closed or never open, and unexpected errors."""

import gc
import io
import os
import sys
import traceback
from typing import Any, TextIO

import typer

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_YOUNG_OBJECTS = 50_000
"""Python looks for cycles after so many new objects; by default after 700. Imports make a million that stay."""


class Program(typer.Typer):
    """Ends with one line and exit code 1 if its output cannot be written; silently if the reader has gone."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from surgical_pipeline.domain.foreign_text import make_logs_visible

        gc.set_threshold(_YOUNG_OBJECTS)
        _open_missing_streams()
        sys.stdin = sys.stdin or os.fdopen(_STDIN, closefd=False)
        output = _Output(_STDOUT, "w", closefd=False)
        sys.stdout = _text_stream(output, like=sys.stdout)
        sys.stderr = _text_stream(_Remarks(_STDERR, "w", closefd=False), like=sys.stderr)
        make_logs_visible()
        code = self._delivered(self._ended(args, kwargs, output), output)
        gc.freeze()  # or Python goes through all objects once more before it ends
        sys.exit(code)

    def _ended(self, args: tuple[Any, ...], kwargs: dict[str, Any], output: "_Output") -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit as end:
            return end.code
        except Exception:  # noqa: BLE001  a defect: people report what they see here
            if output.failure is None:
                _print_traceback()
            return 1

    @staticmethod
    def _delivered(code: Any, output: "_Output") -> Any:
        """The exit code, after all output is flushed."""
        try:
            sys.stdout.flush()
        except OSError as error:
            output.failure = output.failure or error
        if output.failure is None:
            return code
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # Python flushes again when it exits
        if not isinstance(output.failure, BrokenPipeError):
            reason = os.strerror(output.failure.errno or 0)
            sys.stderr.write(f"Error: the output could not be written: {reason}\n")
        return 1


class _Output(io.FileIO):
    """Stdout. ``failure``: why output was lost, even if other code caught the error."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


class _Remarks(io.FileIO):
    """Stderr: output that cannot be written is dropped, because it must not change how a command ends."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def _open_missing_streams() -> None:
    """A free descriptor would go to the next opened file, such as the ledger, and output would go into it."""
    for stream in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(stream)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)


def _text_stream(raw: io.FileIO, *, like: TextIO | None) -> TextIO:
    """Characters that the locale's encoding lacks are written as escapes."""
    encoding = like.encoding if like else "utf-8"
    by_line = raw.isatty() or isinstance(raw, _Remarks)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=by_line)


def _print_traceback() -> None:
    from surgical_pipeline.domain.foreign_text import visible

    sys.stderr.write(visible(traceback.format_exc()))
