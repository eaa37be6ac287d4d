// Signal's own library for Node, which carries its own binary.
//
// It finds the binary by `import.meta.dirname`. Node 18 does not have that, and the
// library then looks in the current folder, so it is loaded from its own.

import { fileURLToPath } from 'node:url';

if (import.meta.dirname === undefined) {
  const home = new URL('./node_modules/@signalapp/libsignal-client', import.meta.url);
  process.chdir(fileURLToPath(home));
}

export const signal = await import('@signalapp/libsignal-client');
