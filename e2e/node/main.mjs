// Speaks lines of JSON on stdin and stdout, so that a test in another language can be
// the person in front of this client.
//
// In:  {"id": 1, "do": "register", ...}
// Out: {"id": 1, "ok": {...}}  or  {"id": 1, "error": "..."}  or  {"event": "message", ...}

import { createInterface } from 'node:readline';

import { Chains } from './chains.mjs';
import { Device } from './device.mjs';
import { Groups } from './groups.mjs';
import { Messenger } from './messenger.mjs';
import { Rest } from './rest.mjs';
import { Socket } from './socket.mjs';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const device = new Device();
let rest;
let messenger;
let groups;
let socket;
let settings;

const commands = {
  /** Opens an account: `{rest, socket, domain, app_token}`. */
  async register(given) {
    settings = given;
    rest = new Rest(given.rest);
    const chains = new Chains(rest);
    messenger = new Messenger(device, rest, chains);
    groups = new Groups(device, rest, chains);
    messenger.on('message', (message) => say({ event: 'message', ...message }));
    groups.on('message', (message) => say({ event: 'group_message', ...message }));
    groups.on('changed', (group) => say({ event: 'group_changed', ...group }));
    groups.on('joined', (group) => say({ event: 'group_joined', ...group }));
    for (const one of [messenger, groups]) {
      one.on('fault', (error) => say({ event: 'fault', error: error.stack }));
    }
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
    groups.attach(socket);
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

  /** Publishes a last-resort KeyPackage and `{count}` for one use each. */
  publish_key_packages: ({ count }) => groups.publishKeyPackages(count),

  /** Makes a group called `{name}`. */
  async create_group({ name }) {
    return { group: await groups.create(name) };
  },

  /** Adds `{accounts}` to a `{group}`. */
  async add_to_group({ group, accounts }) {
    await groups.add(group, accounts);
    return {};
  },

  /** Removes an `{account}` from a `{group}`. */
  async remove_from_group({ group, account }) {
    await groups.remove(group, account);
    return {};
  },

  /** Commits in a `{group}`, and nothing more than what was proposed. */
  async update_group({ group }) {
    await groups.update(group);
    return {};
  },

  async leave_group({ group }) {
    await groups.leave(group);
    return {};
  },

  async rejoin_group({ group }) {
    await groups.rejoin(group);
    return {};
  },

  /** Sends a text to a `{group}`, and answers once it is durable: `{text}`. */
  async send_to_group({ group, text }) {
    await groups.send(group, text);
    return {};
  },

  show_group: ({ group }) => groups.show(group),
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
