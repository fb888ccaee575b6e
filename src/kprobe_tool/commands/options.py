# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from kprobe_tool.report.output import COMMON, Output

F = TypeVar("F", bound=Callable[..., Any])


def output_option(*formats: Output) -> Callable[[F], F]:
    """``-o``: the formats of every command, or only the given ones."""

    def convert(ctx: click.Context, param: click.Parameter, value: str) -> Output:
        return Output(value)

    return click.option(
        "-o",
        "--output",
        type=click.Choice([output.value for output in formats or COMMON]),
        default=Output.TABLE.value,
        callback=convert,
        help="Output format.",
        show_default=True,
    )


class OutputFile(click.Path):
    """A file to write. Standard output, which other programs mean by '-', holds the document and nothing else."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "-":
            self.fail(
                "'-' is no file; standard output holds the document, and ./- is a file of that name", param, ctx
            )
        return super().convert(value, param, ctx)
