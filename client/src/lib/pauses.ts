/** Moments in which the browser may do something else. */
const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();

/** Let the browser draw, and answer the reader, before going on. */
export function rest(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(0);
  });
}

const AT_MOST = 600;

/** Wait until the page has little to do. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in window) requestIdleCallback(() => resolve(), { timeout: AT_MOST });
    else setTimeout(resolve, AT_MOST / 3);
  });
}
