/** Searches an answer, while it arrives, for what a check expects. */
import { compilePattern, type Search } from '../core/pattern/pattern.ts';
import type { Expectation } from '../core/settings/check.ts';

/** How many steps of a search are made before other work of the program has its turn: about a millisecond. */
const stepsAtOnce = 20_000;

/** The search through one answer. */
export interface Match {
  /** Reads the next part. Whether all that came matches; also undecided, so false, when the signal aborts. */
  add(part: Buffer, signal: AbortSignal): Promise<boolean>;
}

/** Returns a function that begins a search. */
export function matcher({ wanted }: Expectation): () => Match {
  if (wanted instanceof RegExp) {
    const begin = compilePattern(wanted);
    return () => searchPattern(begin());
  }
  const bytes = Buffer.from(wanted);
  return () => searchBytes(bytes);
}

function searchPattern(search: Search): Match {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    async add(part, signal) {
      const text = decoder.decode(part, { stream: true });
      for (let at = 0; ;) {
        at = search.read(text, at, stepsAtOnce);
        if (at >= text.length || search.isMatch()) return search.isMatch();
        await new Promise(resolve => setImmediate(resolve));
        if (signal.aborted) return false;
      }
    },
  };
}

function searchBytes(bytes: Buffer): Match {
  let isFound = false;
  /** The end of what came, in which the bytes may begin. */
  let end = Buffer.alloc(0);
  return {
    add(part) {
      const text = Buffer.concat([end, part]);
      isFound ||= text.includes(bytes);
      end = text.subarray(Math.max(0, text.length - bytes.length + 1));
      return Promise.resolve(isFound);
    },
  };
}
