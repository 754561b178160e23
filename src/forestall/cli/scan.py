"""`forestall scan`: scan a text or a JSON value for secrets and the like. Needs no server."""

import sys
from pathlib import Path

import click

from forestall.cli.options import names_model_option
from forestall.cli.output import EXIT_CHECK_FAILED, print_content, print_json_line, print_line

_CLASSES_HELP = "Only this class of findings; repeatable. Without it: all that are built in."


@click.command()
@click.argument(
    "path",
    metavar="FILE|-",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--detector", "classes", metavar="CLASS", multiple=True, help=_CLASSES_HELP)
@names_model_option
@click.option("--redact", "as_copy", is_flag=True, help="Print the content without the findings.")
def scan(path: Path, classes: tuple[str, ...], names_model: str, as_copy: bool) -> None:
    """Find secrets and the like in a file, or in standard input for `-`.

    Prints one line of JSON for each finding, never what was found. Exit code 0: nothing was found;
    1: something was, or the content could not be looked at whole.
    """
    import msgspec

    from forestall.output.clean import clean_copy
    from forestall.output.detectors import DETECTORS
    from forestall.output.scan import scan as scan_content
    from forestall.policy.output_verdict import SWITCHED_ON_BY
    from forestall.server.names import load_names
    from forestall.server.settings import parse_names_model
    from forestall.wire.output import finding_object

    of_names = {each.name: each for each in load_names(parse_names_model(names_model))}
    available = [*DETECTORS, *of_names]
    unknown = sorted(set(classes) - set(available))
    if unknown:
        hint = "; it needs --names-model" if unknown[0] in SWITCHED_ON_BY else ""
        message = f"unknown class {unknown[0]}; known are {', '.join(available)}{hint}"
        raise click.UsageError(message)
    content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    detectors = [of_names.get(name) or DETECTORS[name] for name in classes or available]
    report = scan_content(content, detectors=detectors)
    if not as_copy:
        for finding in report.findings:
            shown = finding_object(finding, for_reviewer=True)
            print_json_line(msgspec.json.encode(shown).decode())
    if not report.complete:
        reasons = ", ".join(report.reasons)
        print_line(f"the content could not be looked at whole: {reasons}", err=True)
    elif as_copy:
        copy = clean_copy(content, report.findings, detectors=detectors)
        if copy is None:
            print_line("no clean copy can be made of this content", err=True)
            raise click.exceptions.Exit(EXIT_CHECK_FAILED)
        print_content(copy)
    if report.findings or not report.complete:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)
