// Dark or light: as the system says until somebody chooses.
import { Signal } from "./signal";

export type Theme = "dark" | "light";
const NAME = "lipsmith-theme";
const system = matchMedia("(prefers-color-scheme: light)");

function chosen(): Theme | null {
  const kept = localStorage.getItem(NAME);
  return kept === "dark" || kept === "light" ? kept : null;
}

export const theme = new Signal<Theme>(chosen() ?? (system.matches ? "light" : "dark"));

function show(): void {
  document.documentElement.dataset.theme = theme.get();
}

export function followTheme(): void {
  show();
  theme.subscribe(show);
  system.addEventListener("change", () => {
    if (!chosen()) theme.set(system.matches ? "light" : "dark");
  });
}

export function switchTheme(): void {
  const next = theme.get() === "dark" ? "light" : "dark";
  localStorage.setItem(NAME, next);
  theme.set(next);
}
