// Two FHIR clients that nobody here wrote drive our server: `node rest_clients.mjs BASE [TOKEN]`, where BASE ends in
// /fhir. Prints what they got as one JSON document; any error is theirs, and ends it.
import { MedplumClient } from '@medplum/core';
import { Client } from 'fhir-kit-client';

const [base, token] = process.argv.slice(2);
const MRN = 'urn:oid:2.999.1';
const patient = (value, family) => ({
  resourceType: 'Patient', identifier: [{ system: MRN, value }], name: [{ family, given: ['JANE'] }], gender: 'female',
});

async function medplum() {
  const client = new MedplumClient({ baseUrl: new URL('/', base).href, fhirUrlPath: 'fhir', accessToken: token, fetch });
  const created = await client.createResource(patient('900101', 'DOE'));
  const read = await client.readResource('Patient', created.id);
  const updated = await client.updateResource({ ...read, active: true });
  const history = await client.readHistory('Patient', created.id);
  const version = await client.readVersion('Patient', created.id, created.meta.versionId);
  const once = await client.createResourceIfNoneExist(patient('900101', 'ROE'), `identifier=${MRN}|900101`);
  for (let number = 0; number < 5; number++) await client.createResource(patient(`90020${number}`, 'PAGE'));
  const pages = [];
  for await (const page of client.searchResourcePages('Patient', 'family=PAGE&_count=2')) {
    pages.push(page.map((one) => one.identifier[0].value));
  }
  const bundle = await client.executeBatch({
    resourceType: 'Bundle', type: 'transaction', entry: [
      {
        fullUrl: 'urn:uuid:4b0fbb0c-1d54-4f5c-9d3f-0a6e6f0e9a01', request: { method: 'POST', url: 'Observation' },
        resource: {
          resourceType: 'Observation', status: 'preliminary', valueString: 'Clear lungs.',
          code: { coding: [{ system: 'http://loinc.org', code: '59776-5' }] },
          subject: { reference: 'urn:uuid:4b0fbb0c-1d54-4f5c-9d3f-0a6e6f0e9a02' },
        },
      },
      {
        fullUrl: 'urn:uuid:4b0fbb0c-1d54-4f5c-9d3f-0a6e6f0e9a02', request: { method: 'POST', url: 'Patient' },
        resource: patient('900102', 'POE'),
      },
    ],
  });
  const observation = await client.readReference({ reference: bundle.entry[0].response.location.split('/').slice(-4, -2).join('/') });
  const refused = await client.createResource({ resourceType: 'Patient', gender: 'nonsense' }).catch((error) => error.outcome);
  return {
    updated: updated.active, versions: history.entry.length, version: version.active ?? null, once: once.id === created.id,
    pages, statuses: bundle.entry.map((entry) => entry.response.status), subject: observation.subject.reference,
    refused: refused.issue[0].expression,
  };
}

async function fhirKit() {
  const client = new Client({ baseUrl: base, bearerToken: token });
  const capabilities = await client.capabilityStatement();
  const created = await client.create({ resourceType: 'Patient', body: patient('900103', 'KIT') });
  const updated = await client.update({ resourceType: 'Patient', id: created.id, body: { ...created, active: false } });
  const found = await client.search({ resourceType: 'Patient', searchParams: { identifier: `${MRN}|900103` } });
  const posted = await client.search({ resourceType: 'Patient', searchParams: { family: 'KIT' }, options: { postSearch: true } });
  const gone = await client.read({ resourceType: 'Patient', id: 'nobody' }).catch((error) => error.response.status);
  return {
    fhirVersion: capabilities.fhirVersion, version: updated.meta.versionId, found: found.total, posted: posted.total, gone,
  };
}

console.log(JSON.stringify({ medplum: await medplum(), fhirKit: await fhirKit() }));
