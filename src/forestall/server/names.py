"""Names in results, by a spaCy pipeline that the operator installed: an adapter, off by default.

Only the setting `names_model` names a pipeline, and no policy can: loading one imports a package or
reads a directory. A pipeline that cannot be used stops the start. Nothing is fetched from a
network.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forestall.output.detectors.named import ORGANISATION, PERSON, PLACE, named_entity
from forestall.output.findings import Detector, Reader, Sighting
from forestall.server.settings import SettingsError

_PIPELINE_FILE = "config.cfg"
_CONFIDENCE = 0.6  # pipelines give none; on text unlike their training text it is low
# Factories of components that find names from the vectors of another component alone.
_VECTOR_READERS = frozenset({"ner", "beam_ner"})
_VECTORS = frozenset({"doc.tensor", "doc._.trf_data"})  # the outputs that they read
# What pipelines call names, in lower case: OntoNotes, CoNLL and WikiNER, single languages.
_LABELS = {
    PERSON: ("person", "per", "persname", "prs", "ps", "family"),
    PLACE: (
        *("gpe", "loc", "fac", "facility", "location", "placename", "geogname", "gpe_loc", "lc"),
        # Sekine's extended hierarchy, as in GiNZA.
        *("city", "country", "county", "province", "gpe_other", "domestic_region"),
        *("continental_region", "region_other", "location_other", "postal_address", "island"),
        *("mountain", "river", "lake", "sea", "bay", "geological_region_other", "spa"),
        *("airport", "bridge", "canal", "car_stop", "museum", "park", "port", "road", "station"),
        *("sports_facility", "theater", "tunnel", "worship_place", "zoo", "amusement_park"),
        *("railroad", "water_route", "line_other", "facility_other", "facility_part"),
        *("archaeological_place_other", "tumulus", "goe_other"),
    ),
    ORGANISATION: (
        *("org", "organization", "organisation", "orgname", "gpe_org", "og"),
        *("company", "company_group", "corporation_other", "cabinet", "government", "military"),
        *("international_organization", "organization_other", "political_organization_other"),
        *("political_party", "pro_sports_organization", "public_institution"),
        *("research_institute", "school", "show_organization", "sports_league"),
        "sports_organization_other",
    ),
}
_KIND_OF_LABEL: Mapping[str, str] = {
    label: kind for kind, labels in _LABELS.items() for label in labels
}


def load_names(package: str) -> tuple[Detector, ...]:
    """The detector `named_entity` over an installed pipeline or one in a directory; none for empty
    text.

    Raises SettingsError, saying what to install.
    """
    if not package:
        return ()
    is_directory = "/" in package or "\\" in package
    if is_directory and not (Path(package) / _PIPELINE_FILE).is_file():
        raise SettingsError(
            f"`names_model`: `{package}` holds no `{_PIPELINE_FILE}`: name the directory that"
            " `nlp.to_disk` wrote, or leave the setting empty"
        )
    try:
        import spacy
    except ImportError as cause:
        raise SettingsError(
            f"`names_model` is `{package}`, and spaCy is not installed here:"
            " pip install 'forestall[names]', or leave the setting empty"
        ) from cause
    if not is_directory and not spacy.util.is_package(package):
        raise SettingsError(
            f"`names_model` is `{package}`, and no such package is installed here: install that"
            " spaCy pipeline beside forestall, or leave the setting empty"
        )
    try:
        # A path, so that spaCy reads files and imports nothing by that name.
        pipeline = spacy.load(Path(package) if is_directory else package)
        reader = reader_of(pipeline)
    except Exception as cause:  # a broken package may raise anything
        raise SettingsError(f"`names_model`: `{package}` cannot be used: {cause}") from cause
    return (named_entity(reader),)


def reader_of(pipeline: Any) -> Reader:
    """A reader over a pipeline. Raises ValueError for a pipeline that finds no names.

    Calls run one at a time: a pipeline is not safe for threads, and more would not be faster.
    """
    finders = [name for name in pipeline.pipe_names if "doc.ents" in _assigns(pipeline, name)]
    labels = {label.lower() for name in finders for label in _labels(pipeline, name)}
    if labels.isdisjoint(_KIND_OF_LABEL):
        raise ValueError("no component of it finds people, places or organisations")
    # Run no component that none of these reads: a tagger, say, takes most of the time.
    if all(pipeline.get_pipe_meta(name).factory in _VECTOR_READERS for name in finders):
        sources = [name for name in pipeline.pipe_names if _VECTORS & set(_assigns(pipeline, name))]
        pipeline.select_pipes(enable=[*sources, *finders])
    one_at_a_time = threading.Lock()

    def read(text: str) -> list[Sighting]:
        # The memory zone makes the pipeline forget the words of the text afterwards.
        with one_at_a_time, pipeline.memory_zone():
            return [
                Sighting(kind, entity.start_char, entity.end_char, _CONFIDENCE)
                for entity in pipeline(text).ents
                if (kind := _KIND_OF_LABEL.get(entity.label_.lower())) is not None
            ]

    read("A first text takes longest.")
    return read


def _assigns(pipeline: Any, name: str) -> tuple[str, ...]:
    return tuple(pipeline.get_pipe_meta(name).assigns)


def _labels(pipeline: Any, name: str) -> tuple[str, ...]:
    return tuple(getattr(pipeline.get_pipe(name), "labels", ()))
