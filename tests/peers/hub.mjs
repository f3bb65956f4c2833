// A FHIRcast 3.0 hub that knows nothing of RadBridge: written from the standard's text and examples, for tests of our
// client. POST /control makes it act as an application of the session, or misbehave; GET /control tells what it saw.
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { WebSocketServer } from 'ws';

const state = { context: null, sockets: new Map(), published: [], taken: [], acks: [], forms: [], fail: [], lease: 7200 };
const sockets = new WebSocketServer({ noServer: true });

function event(name, context, extra = {}) {
  const { id = randomUUID(), timestamp = new Date().toISOString(), ...more } = extra;
  return { timestamp, id, event: { 'hub.topic': state.topic, 'hub.event': name, context, ...more } };
}

function broadcast(message) {
  for (const { socket } of state.sockets.values()) socket?.send(JSON.stringify(message));
}

// Applies an event to the context; the status to answer, and the event to distribute.
function apply(message) {
  const { 'hub.event': name, context, 'context.versionId': version } = message.event;
  const verb = name.toLowerCase().split('-')[1];
  const next = randomUUID();
  if (verb === 'open') {
    const opened = { ...message, event: { ...message.event, 'context.versionId': next } };
    state.context = { type: name.split('-')[0], version: next, items: context, content: new Map(), opened };
    return [202, opened];
  }
  if (verb === 'close') {
    state.context = null;
    return [202, message];
  }
  if (verb !== 'update') return [202, message];
  if (!state.context || state.context.version !== version) return [409];
  const updates = context.find((item) => item.key === 'updates').resource;
  for (const { request, resource, fullUrl } of updates.entry) {
    if (request.method === 'PUT') state.context.content.set(`${resource.resourceType}/${resource.id}`, resource);
    else if (request.method === 'DELETE') state.context.content.delete(fullUrl ?? request.url);
    else return [400];
  }
  state.context.version = next;
  const versions = { 'context.versionId': next, 'context.priorVersionId': version };
  return [202, { ...message, event: { ...message.event, ...versions } }];
}

function current() {
  if (!state.context) return { 'context.type': '', context: [] };
  const { type, version, items, content } = state.context;
  const entry = [...content.values()].map((resource) => ({ resource }));
  const bundle = { resourceType: 'Bundle', id: version, type: 'collection', ...(entry.length ? { entry } : {}) };
  return {
    'context.type': type,
    'context.versionId': version,
    context: [...items, { key: 'content', resource: bundle }],
  };
}

function subscribe(form, host) {
  state.forms.push(Object.fromEntries(form));
  state.topic = form.get('hub.topic');
  const known = form.get('hub.channel.endpoint');
  const token = known ? known.split('/').pop() : randomUUID();
  if (!state.sockets.has(token)) state.sockets.set(token, { events: form.get('hub.events') });
  return [202, { 'hub.channel.endpoint': `ws://${host}/ws/${token}` }];
}

const controls = {
  // An application's event; `quiet` keeps it from being distributed, as when a message is lost.
  event({ name, context, quiet, ...extra }) {
    const version = state.context ? { 'context.versionId': state.context.version } : {};
    const [status, message] = apply(event(name, context, { ...version, ...extra }));
    if (message && !quiet) broadcast(message);
    return { status };
  },
  send: ({ message }) => broadcast(message),
  // The next POSTs of an event are answered so; 0 is a connection that is closed without an answer, -1 one that stays
  // open, though the event counts.
  fail: ({ statuses }) => void (state.fail = statuses),
  lease: ({ seconds }) => void (state.lease = seconds),
  drop() {
    for (const { socket } of state.sockets.values()) socket?.terminate();
    state.sockets.clear();
  },
  deny() {
    broadcast({ 'hub.mode': 'denied', 'hub.topic': state.topic, 'hub.events': '', 'hub.reason': 'session ended' });
  },
};

function answer(method, path, type, body, host) {
  if (path === '/control') {
    if (method === 'GET') return [200, { ...state, context: current(), sockets: state.sockets.size }];
    const { act, ...rest } = JSON.parse(body);
    return [200, controls[act](rest) ?? {}];
  }
  if (method === 'GET') return path.slice(1) === encodeURIComponent(state.topic) ? [200, current()] : [404];
  if (type.startsWith('application/x-www-form-urlencoded')) return subscribe(new URLSearchParams(body), host);
  const message = JSON.parse(body);
  const forced = state.fail.shift();
  state.published.push(message);
  if (forced > 0) return [forced];
  if (state.published.filter(({ id }) => id === message.id).length > 1) return [202];
  const [status, distributed] = apply(message);
  if (distributed) state.taken.push(message); // an event for an old version is none
  if (distributed) broadcast(distributed);
  return forced === undefined ? [status] : [forced];
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const { method, url, headers } = request;
    const type = headers['content-type'] ?? '';
    const said = answer(method, url, type, Buffer.concat(parts).toString(), headers.host);
    if (said[0] < 0) return;
    if (said[0] === 0) return request.socket.destroy();
    response.writeHead(said[0], { 'content-type': 'application/json' });
    response.end(said[1] ? JSON.stringify(said[1]) : '');
  });
});

server.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, (connection) => {
    const subscription = state.sockets.get(request.url.split('/').pop());
    if (!subscription) return connection.close(1008);
    subscription.socket = connection;
    connection.on('message', (raw) => state.acks.push(JSON.parse(raw)));
    connection.send(
      JSON.stringify({
        'hub.mode': 'subscribe',
        'hub.topic': state.topic,
        'hub.events': subscription.events,
        'hub.lease_seconds': state.lease,
      }),
    );
    if (!state.context) return;
    const { opened, version } = state.context; // 2.4: what is open, as it was opened
    connection.send(JSON.stringify({ ...opened, event: { ...opened.event, 'context.versionId': version } }));
  }),
);

setInterval(() => broadcast(event('heartbeat', [{ key: 'period', decimal: '1' }])), 1000);
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })));
