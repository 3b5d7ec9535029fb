/** Something that is open exactly while somebody uses it. */
export interface OpenWhileUsed extends AsyncDisposable {
  /** Resolves when it is open. @throws what opening throws; it is then not counted as used */
  use(): Promise<void>;
  /** For each `use` that resolved, once. The last one resolves when it is closed. */
  leave(): Promise<void>;
}

/** Opens with the first use and closes with the last, one after the other: a port is never opened before it is free again. */
export function openWhileUsed(open: () => Promise<AsyncDisposable>): OpenWhileUsed {
  let uses = 0;
  let opened: AsyncDisposable | undefined;
  let last = Promise.resolve();

  async function settle(): Promise<void> {
    if (uses > 0) {
      opened ??= await open();
      return;
    }
    const closing = opened;
    opened = undefined;
    await closing?.[Symbol.asyncDispose]();
  }

  function next(): Promise<void> {
    const settled = last.then(settle);
    last = settled.catch(() => undefined);
    return settled;
  }

  return {
    async use() {
      uses += 1;
      try {
        await next();
      } catch (error) {
        uses -= 1;
        throw error;
      }
    },
    leave() {
      uses -= 1;
      return next();
    },
    [Symbol.asyncDispose]() {
      uses = 0;
      return next();
    },
  };
}
