// The socket with JSON frames, opened as a browser does: the token is a subprotocol.

import { EventEmitter, once } from 'node:events';

import WebSocket from 'ws';

const SUBPROTOCOL = 'sotto.v1.json';

/**
 * A connection. Emits `deliver` with a list of envelopes, `groupDeliver` and `groupHeads`
 * with the body of the frame, `queueEmpty`, and `end` with the close code; whoever wants
 * all of them listens before `opened` is awaited.
 */
export class Socket extends EventEmitter {
  #ws;
  #nextId = 1;
  #waiting = new Map();

  constructor(url, token) {
    super();
    this.#ws = new WebSocket(url, [SUBPROTOCOL, `bearer.${token}`]);
    this.#ws.on('message', (data) => this.#take(JSON.parse(data)));
    this.#ws.on('error', () => {});
    this.#ws.on('close', (code) => this.#end(code));
  }

  /** Waits for the Hello of the gateway. */
  async opened() {
    await Promise.race([once(this, 'hello'), once(this, 'end').then(refused)]);
    if (this.#ws.protocol !== SUBPROTOCOL) throw new Error(`the server chose "${this.#ws.protocol}"`);
  }

  /** Sends a frame that wants an answer, and gives the answer's body. */
  request(body) {
    const id = String(this.#nextId++);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#ws.send(JSON.stringify({ id, ...body }));
    });
  }

  ack(envelopeIds) {
    this.#ws.send(JSON.stringify({ ack: { envelopeIds } }));
  }

  ackGroup(group, seq) {
    this.#ws.send(JSON.stringify({ groupAck: { cursors: [{ group, seq: String(seq) }] } }));
  }

  async close() {
    if (this.#ws.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#ws, 'close');
    this.#ws.close(1000);
    await closed;
  }

  #end(code) {
    const gone = new Error(`the socket closed with ${code}`);
    this.#waiting.forEach(({ reject }) => reject(gone));
    this.#waiting.clear();
    this.emit('end', code);
  }

  #take({ inReplyTo, ...body }) {
    const waiting = this.#waiting.get(inReplyTo);
    if (waiting) {
      this.#waiting.delete(inReplyTo);
      waiting.resolve(body);
    } else if (body.deliver) {
      this.emit('deliver', body.deliver.envelopes ?? []);
    } else if (body.groupDeliver) {
      this.emit('groupDeliver', body.groupDeliver);
    } else if (body.groupHeads) {
      this.emit('groupHeads', body.groupHeads);
    } else if (body.hello) {
      this.emit('hello', body.hello);
    } else if (body.queueEmpty) {
      this.emit('queueEmpty');
    }
  }
}

function refused([code]) {
  throw new Error(`the socket closed with ${code} before it was open`);
}
