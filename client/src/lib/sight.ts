/** Things that are made only when they come into sight. */
const NEAR = "300px";
const acts = new WeakMap<Element, () => void>();
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      acts.get(target)?.();
    }
  },
  { rootMargin: NEAR },
);

/** Act once when an element is near to being seen; gives what ends the waiting. */
export function whenSeen(element: Element, act: () => void): () => void {
  acts.set(element, act);
  observer.observe(element);
  return () => observer.unobserve(element);
}
