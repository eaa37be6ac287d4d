// Speaks lines of JSON on stdin and stdout, so that a test in another language can be
// the person in front of this client.
//
// In:  {"id": 1, "do": "register", ...}
// Out: {"id": 1, "ok": {...}}  or  {"id": 1, "error": "..."}  or  {"event": "message", ...}

import { createInterface } from 'node:readline';

import { Device } from './device.mjs';
import { Messenger } from './messenger.mjs';
import { Rest } from './rest.mjs';
import { Socket } from './socket.mjs';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const device = new Device();
let rest;
let messenger;
let socket;
let settings;

const commands = {
  /** Opens an account: `{rest, socket, domain, app_token}`. */
  async register(given) {
    settings = given;
    rest = new Rest(given.rest);
    messenger = new Messenger(device, rest);
    messenger.on('message', (message) => say({ event: 'message', ...message }));
    messenger.on('fault', (error) => say({ event: 'fault', error: String(error) }));
    const account = await device.register(rest, { home: given.domain, appToken: given.app_token });
    return { account_id: account.text, uuid: account.uuid, device_id: device.id };
  },

  /** Buys a Sotto token: `{app_token}`. */
  async login({ app_token: appToken }) {
    settings.token = await device.login(rest, { domain: settings.domain, appToken });
    return {};
  },

  /** Publishes a signed prekey, a last-resort Kyber key and `{count}` one-time keys of each kind. */
  publish_keys: ({ count }) => device.publishKeys(rest, count),

  async connect() {
    socket = new Socket(settings.socket, settings.token);
    messenger.attach(socket);
    socket.on('queueEmpty', () => say({ event: 'queue_empty' }));
    socket.on('end', (code) => say({ event: 'closed', code }));
    await socket.opened();
    return {};
  },

  async disconnect() {
    await socket.close();
    return {};
  },

  /** Sends a text, and answers once it is durable: `{to, text}`. */
  async send({ to, text }) {
    await messenger.sendText(to, text);
    return {};
  },

  count_keys: () => rest.countKeys(),
};

async function obey({ id, do: name, ...args }) {
  try {
    if (!Object.hasOwn(commands, name)) throw new Error(`there is no command "${name}"`);
    say({ id, ok: await commands[name](args) });
  } catch (error) {
    say({ id, error: String(error.cause ? `${error}: ${error.cause}` : error) });
  }
}

// In order: a command is begun when the one before it is done.
for await (const line of createInterface({ input: process.stdin })) {
  await obey(JSON.parse(line));
}
process.exit(0);
