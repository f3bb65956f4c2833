"""Which objects of a study we know of, for the evidence that an SR names (PS3.3, C.17.2.1)."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from radbridge.journal.schema import dicom_instances
from radbridge_adapters.dicom.encoding.values import is_uid
from radbridge_adapters.dicom.writing.document import Instance

AT_MOST = 1000
"""References in one SR. Of a larger study it names the first object of each series."""
MOST_READ = 20_000
_OWN_KIND = frozenset({"1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.88.59"})
"""Basic Text SR and Key Object Selection: our own drafts and their withdrawals, come back from the PACS."""

_OF_STUDY = (
    select(dicom_instances.c.class_uid, dicom_instances.c.sop_uid, dicom_instances.c.series_uid)
    .where(dicom_instances.c.study_uid == bindparam("of_study"), dicom_instances.c.class_uid.not_in(_OWN_KIND))
    .order_by(dicom_instances.c.series_uid, dicom_instances.c.received_at, dicom_instances.c.sop_uid)
    .limit(MOST_READ)
)


def find_instances(conn: Connection, study_uid: str) -> list[Instance]:
    """The study's objects that were taken in; one for each series when there are more than `AT_MOST`."""
    rows = conn.execute(_OF_STUDY, {"of_study": study_uid}).all()
    found = [
        Instance(sop_class=row.class_uid, sop_instance=row.sop_uid, series=row.series_uid)
        for row in rows
        if is_uid(row.series_uid)
    ]
    if len(found) <= AT_MOST:
        return found
    firsts: dict[str, Instance] = {}
    for one in found:
        firsts.setdefault(one.series, one)
    return list(firsts.values())[:AT_MOST]
