// Medplum's FHIRcast client at our hub: `node fhircast_medplum.mjs http://host:port TOPIC`, with an event's `report`
// and `updates` on standard input. Prints what came back.
import WebSocket from 'ws';
import { MedplumClient } from '@medplum/core';

globalThis.WebSocket = WebSocket; // Node 20 has none of its own
const [base, topic] = process.argv.slice(2);
const input = JSON.parse(await new Response(process.stdin).text());
const medplum = new MedplumClient({ baseUrl: `${base}/`, fhirUrlPath: 'fhir', fhircastHubUrl: `${base}/fhircast`, fetch });

const empty = await medplum.fhircastGetContext(topic);
const subscription = await medplum.fhircastSubscribe(topic, ['DiagnosticReport-open', 'DiagnosticReport-update']);
const connection = medplum.fhircastConnect(subscription);
const heard = [];
const waiting = [];
connection.addEventListener('message', ({ payload }) => {
  heard.push(payload.event);
  waiting.shift()?.();
});
const closed = new Promise((resolve) => connection.addEventListener('disconnect', resolve));
const next = () => new Promise((resolve) => waiting.push(resolve));
await new Promise((resolve) => connection.addEventListener('connect', resolve));

let event = next();
await medplum.fhircastPublish(topic, 'DiagnosticReport-open', input.open);
await event;
event = next();
const draft = event.then(next);
await medplum.fhircastPublish(topic, 'DiagnosticReport-update', input.update, heard[0]['context.versionId']);
await draft;
const context = await medplum.fhircastGetContext(topic);
const conflict = await medplum
  .fhircastPublish(topic, 'DiagnosticReport-update', input.update, 'an old version')
  .then(() => 'accepted', (error) => error.message);
await medplum.fhircastUnsubscribe(subscription);
await closed;
console.log(JSON.stringify({ empty, heard, context, conflict }));
process.exit(0);
