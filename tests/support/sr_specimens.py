"""Structured Reports as machines send them: TID 1500 by highdicom, and by hand what other makers do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from radbridge.config import Dicom
from radbridge_adapters.dicom.encoding.part10 import write_part10
from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.sr_read import Report, read_report
from radbridge_adapters.dicom.incoming.translate import Translator
from tests.support.dicom_scu import STUDY, image

BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
ENHANCED = "1.2.840.10008.5.1.4.1.1.88.22"
COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"
MAMMOGRAPHY_CAD = "1.2.840.10008.5.1.4.1.1.88.50"
DOSE = "1.2.840.10008.5.1.4.1.1.88.67"

RIGHT_UPPER_LOBE = Code("42400003", "SCT", "Structure of upper lobe of right lung")
LUNG_RADS = Code("RID50134", "RADLEX", "Lung-RADS assessment")
LUNG_RADS_4A = Code("RID50138", "RADLEX", "4A")
CUBIC_MM = Code("mm3", "UCUM", "cubic millimeter")


TRANSLATE = Translator(Dicom(), UTC)
REPORT = ("126000", "DCM", "Imaging Measurement Report")
GROUP = ("125007", "DCM", "Measurement Group")
FINDING = ("121071", "DCM", "Finding")
FINDINGS = ("121070", "DCM", "Findings")
SITE = ("363698007", "SCT", "Finding Site")
OLD_SITE = ("G-C0E3", "SRT", "Finding Site")
LATERALITY = ("272741003", "SCT", "Laterality")
OLD_LATERALITY = ("G-C171", "SRT", "Laterality")
TRACKING = ("112039", "DCM", "Tracking Identifier")
NODULE = ("27925004", "SCT", "Nodule")
OLD_NODULE = ("M-03010", "SRT", "Nodule")
LUNG = ("39607008", "SCT", "Lung")
RIGHT = ("24028007", "SCT", "Right")
LEFT = ("7771000", "SCT", "Left")
DIAMETER = ("81827009", "SCT", "Diameter")
OBSERVER = ("121005", "DCM", "Observer Type")
DEVICE = ("121007", "DCM", "Device")
PERSON = ("121006", "DCM", "Person")


def ai_report(
    *,
    accession: str = "A1",
    study: str = STUDY,
    mm: float = 6.0,
    uid: str = f"{STUDY}.9.1",
    algorithm: str = "LungScan",
    form: str = "planar",
    site: Code = RIGHT_UPPER_LOBE,
    laterality: Code | None = None,
    predecessors: Sequence[Dataset] = (),
    patient: Mapping[str, str] | None = None,
) -> Dataset:
    """What an AI tool says of one nodule: its diameter, volume and category (TID 1500).

    `form` of the measurement group is `planar` (TID 1410), `volumetric` (1411) or `no region` (1501).
    """
    source = image(accession, study=study, **patient or {})
    source.FrameOfReferenceUID = f"{study}.8"
    nodule = _GROUPS[form](
        tracking_identifier=sr.TrackingIdentifier(uid=f"{study}.77.1", identifier="Nodule 1"),
        finding_type=codes.SCT.Nodule,
        finding_sites=[sr.FindingSite(anatomic_location=site, laterality=laterality)],
        algorithm_id=sr.AlgorithmIdentification(name=algorithm, version="2.1") if algorithm else None,
        measurements=[
            sr.Measurement(name=codes.SCT.Diameter, value=mm, unit=codes.UCUM.Millimeter),
            sr.Measurement(name=codes.SCT.Volume, value=113.0972, unit=CUBIC_MM),
        ],
        qualitative_evaluations=[sr.QualitativeEvaluation(name=LUNG_RADS, value=LUNG_RADS_4A)],
        **_region(source, form),
    )
    return _report(source, [nodule], uid=uid, predecessors=predecessors)


_GROUPS = {
    "planar": sr.PlanarROIMeasurementsAndQualitativeEvaluations,
    "volumetric": sr.VolumetricROIMeasurementsAndQualitativeEvaluations,
    "no region": sr.MeasurementsAndQualitativeEvaluations,
}


def _region(source: Dataset, form: str) -> dict[str, Any]:
    circle = sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.CIRCLE,
        graphic_data=_points((8, 8), (8, 11)),
        source_image=sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )
    regions: dict[str, dict[str, Any]] = {
        "planar": {"referenced_region": circle},
        "volumetric": {"referenced_regions": [circle]},
        "no region": {},
    }
    return regions[form]


def _points(*points: tuple[float, float]) -> Any:
    import numpy as np

    return np.array(points, dtype=float)


def _report(source: Dataset, groups: Sequence[Any], *, uid: str, predecessors: Sequence[Dataset]) -> Dataset:
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=codes.DCM.Device,
                observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                    uid=f"{STUDY}.66", name="LungScan station", manufacturer_name="Acme"
                ),
            )
        ),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=list(groups),
        title=codes.DCM.ImagingMeasurementReport,
    )
    return sr.Comprehensive3DSR(
        evidence=[source],
        content=content,
        series_instance_uid=f"{source.StudyInstanceUID}.9",
        series_number=9,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="Acme",
        is_complete=True,
        is_final=True,
        previous_versions=list(predecessors) or None,
        content_date=datetime(2026, 3, 1, tzinfo=UTC).date(),
        transfer_syntax_uid=UID("1.2.840.10008.1.2.1"),
    )


def node(
    kind: str, concept: tuple[str, str, str] | None = None, *children: Dataset, relation: str = "CONTAINS", **more: Any
) -> Dataset:
    """A content item, by hand."""
    item = Dataset()
    item.RelationshipType = relation
    item.ValueType = kind
    if concept:
        item.ConceptNameCodeSequence = [coded(*concept)]
    if children:
        item.ContentSequence = list(children)
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def coded(value: str, system: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, system, meaning
    return item


def num(concept: tuple[str, str, str], value: str, unit: str, *children: Dataset, **more: Any) -> Dataset:
    """A NUM item."""
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = [coded(unit, "UCUM", unit)]
    return node("NUM", concept, *children, MeasuredValueSequence=[measured], **more)


def code(concept: tuple[str, str, str], value: tuple[str, str, str], *children: Dataset, **more: Any) -> Dataset:
    """A CODE item."""
    return node("CODE", concept, *children, ConceptCodeSequence=[coded(*value)], **more)


def text(concept: tuple[str, str, str], value: str, **more: Any) -> Dataset:
    """A TEXT item."""
    return node("TEXT", concept, TextValue=value, **more)


def document(sop_class: str, title: tuple[str, str, str], *children: Dataset, **more: Any) -> Dataset:
    """A document by hand, of a modality."""
    root = image(sop_class=sop_class, Modality="SR", Manufacturer="Acme", ManufacturerModelName="CT 3000", **more)
    del root.PixelData
    root.ValueType = "CONTAINER"
    root.ConceptNameCodeSequence = [coded(*title)]
    root.CompletionFlag, root.VerificationFlag = "COMPLETE", "UNVERIFIED"
    root.ContentSequence = list(children)
    return root


def write(dataset: Dataset) -> bytes:
    """As the journal keeps it."""
    return write_part10(dataset, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))


def lines(dataset: Dataset) -> list[str]:
    """The lines that a report gives."""
    return [measured.line for measured in read(dataset).measured]


def read(dataset: Dataset) -> Report:
    """A report, read."""
    return read_report(Elements.of(dataset))


def comprehensive(*children: Dataset, **more: Any) -> Dataset:
    """A measurement report by hand, of a modality."""
    return document(COMPREHENSIVE, REPORT, *children, **more)
