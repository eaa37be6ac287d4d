// The sizes of plaintexts: docs/protocol.md, What stands in a ciphertext.

const STEP = 160;
const LAST_STEP = 2080;
const MARK = 0x80;

const nextMultiple = (length, step) => Math.ceil(length / step) * step;
const highestBit = (number) => 31 - Math.clz32(number);

/** The size that something of `length` bytes is padded to, with the mark. */
function paddedLength(length) {
  const least = length + 1;
  if (least <= LAST_STEP) return nextMultiple(least, STEP);
  const exponent = highestBit(least);
  const kept = highestBit(exponent) + 1;
  return nextMultiple(least, 2 ** (exponent - kept));
}

/** Pads a plaintext to the next size. */
export function pad(plaintext) {
  const padded = Buffer.alloc(paddedLength(plaintext.length));
  padded.set(plaintext);
  padded[plaintext.length] = MARK;
  return padded;
}

/** Takes the padding off, and refuses what has none or another size than its own. */
export function unpad(padded) {
  const end = padded.findLastIndex((byte) => byte !== 0);
  if (end < 0 || padded[end] !== MARK || padded.length !== paddedLength(end)) {
    throw new Error('not padded as it should be');
  }
  return padded.subarray(0, end);
}
