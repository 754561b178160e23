"""A file for whose rules no default derivation applies is named by the banner, `policy show` and a
gauge."""

from pathlib import Path

from click.testing import CliRunner

from forestall.cli.policy_report import print_snapshot, snapshot_object
from forestall.policy import compile_policy, load_policy
from forestall.server.banner import _warnings
from forestall.server.metrics import Metrics
from forestall.server.settings import read_settings

DANGEROUS = "name: a\ndanger_no_default_derivations: true\nrules: []\n"
GAUGE = "forestall_policy_without_default_derivations"


def test_a_file_without_default_derivations_is_named(tmp_path: Path) -> None:
    snapshot = compile_policy([load_policy(DANGEROUS), load_policy("name: b\nrules: []\n")])
    assert snapshot.without_default_derivations == ("a",)
    settings = read_settings({}, {}, tmp_path)
    line = "danger: no default derivations for the rules of a"
    assert line in _warnings(settings, snapshot.without_default_derivations)
    assert line not in _warnings(settings)
    metrics = Metrics()
    metrics.policy_loaded(snapshot, 0)
    assert metrics.registry.get_sample_value(GAUGE) == 1
    metrics.policy_loaded(compile_policy(load_policy("rules: []\n")), 0)
    assert metrics.registry.get_sample_value(GAUGE) == 0
    assert snapshot_object(snapshot)["without_default_derivations"] == ["a"]
    with CliRunner().isolation() as (out, *_):
        print_snapshot(snapshot)
    text = out.getvalue().decode()
    assert "danger    no default derivations for the rules of layer a" in text
    assert "derive    shell on job.exec.*" in text
