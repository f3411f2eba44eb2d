// Where in the page one is: the address, without its host. Links are real links.
import type { AnchorHTMLAttributes, MouseEvent } from "react";
import { Signal, useSignal } from "./signal";

const place = new Signal(location.pathname + location.search);
addEventListener("popstate", () => place.set(location.pathname + location.search));

export function go(to: string): void {
  history.pushState(null, "", to);
  place.set(to);
  scrollTo(0, 0);
}

export function usePlace(): { path: string; query: URLSearchParams } {
  const [path = "/", query = ""] = useSignal(place).split("?");
  return { path, query: new URLSearchParams(query) };
}

export function Link({ to, ...rest }: { to: string } & AnchorHTMLAttributes<HTMLAnchorElement>) {
  function follow(event: MouseEvent) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to);
  }
  return <a href={to} onClick={follow} {...rest} />;
}
