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
const waiting = new Set();
connection.addEventListener('message', ({ payload }) => {
  heard.push(payload.event);
  for (const look of waiting) look();
});
const closed = new Promise((resolve) => connection.addEventListener('disconnect', resolve));
// Two events may come in one turn of the loop: each is counted, whoever waits by then.
const hear = (count) =>
  new Promise((resolve) => {
    const look = () => heard.length >= count && resolve();
    waiting.add(look);
    look();
  });
await new Promise((resolve) => connection.addEventListener('connect', resolve));

await medplum.fhircastPublish(topic, 'DiagnosticReport-open', input.open);
await hear(1);
await medplum.fhircastPublish(topic, 'DiagnosticReport-update', input.update, heard[0]['context.versionId']);
await hear(3);
const context = await medplum.fhircastGetContext(topic);
const conflict = await medplum
  .fhircastPublish(topic, 'DiagnosticReport-update', input.update, 'an old version')
  .then(() => 'accepted', (error) => error.message);
await medplum.fhircastUnsubscribe(subscription);
await closed;
console.log(JSON.stringify({ empty, heard, context, conflict }));
process.exit(0);
