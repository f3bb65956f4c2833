"""The journal's tables. Migrations under `migrations/` bring a database here; a test holds both to the same shape."""

from __future__ import annotations

from radbridge.journal.tables.access import accounts, api_keys, login_sessions
from radbridge.journal.tables.base import metadata
from radbridge.journal.tables.cluster import cursors, destinations, gateways, leases, sequence_numbers
from radbridge.journal.tables.core import cases, deliveries, draft_requests, drafts, messages, secrets
from radbridge.journal.tables.dicom import dicom_instances, dicom_steps, dicom_studies, dicom_waiting
from radbridge.journal.tables.fhir import (
    cds_cards,
    draft_feedback,
    fhir_jobs,
    fhircast_contexts,
    resource_index,
    resource_versions,
    resources,
    subscription_events,
    token_jtis,
)
from radbridge.journal.tables.learning import edits, lora_events, lora_sources, memory, withdrawals
from radbridge.journal.tables.states import (
    DeliveryState,
    EditState,
    LoraAction,
    MemoryState,
    MessageState,
    Purpose,
)
from radbridge.journal.tables.trail import audit_anchors, audit_events, audit_pending, data_keys

__all__ = [
    "DeliveryState",
    "EditState",
    "LoraAction",
    "MemoryState",
    "MessageState",
    "Purpose",
    "accounts",
    "api_keys",
    "audit_anchors",
    "audit_events",
    "audit_pending",
    "cases",
    "cds_cards",
    "cursors",
    "data_keys",
    "deliveries",
    "destinations",
    "dicom_instances",
    "dicom_steps",
    "dicom_studies",
    "dicom_waiting",
    "draft_feedback",
    "draft_requests",
    "drafts",
    "edits",
    "fhir_jobs",
    "fhircast_contexts",
    "gateways",
    "leases",
    "login_sessions",
    "lora_events",
    "lora_sources",
    "memory",
    "messages",
    "metadata",
    "resource_index",
    "resource_versions",
    "resources",
    "secrets",
    "sequence_numbers",
    "subscription_events",
    "token_jtis",
    "withdrawals",
]
