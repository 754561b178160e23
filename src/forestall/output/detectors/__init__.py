"""Every built-in detector by name. One file for each family; a table of kinds in each.

To add one: a module with a `Detector`, and a line here. What is configured (hosts, paths) is built
by a function and handed to `scan` beside these.
"""

from collections.abc import Mapping

from forestall.output.detectors.injection import PROMPT_INJECTION
from forestall.output.detectors.personal import PERSONAL_DATA
from forestall.output.detectors.secrets import SECRET
from forestall.output.findings import Detector

DETECTORS: Mapping[str, Detector] = {
    each.name: each for each in (SECRET, PERSONAL_DATA, PROMPT_INJECTION)
}
