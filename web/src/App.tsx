// The frame around every view: where one can go, who one is, and whether the server answers.
import { reachable } from "./api";
import { Toasts } from "./parts/Toasts";
import { Link, usePlace } from "./router";
import { useResource } from "./resource";
import { key, signOut } from "./session";
import { useSignal } from "./signal";
import { switchTheme, theme } from "./theme";
import { Projects } from "./views/Projects";
import { ShotView } from "./views/ShotView";
import { Shots } from "./views/Shots";
import { Mark, SignIn } from "./views/SignIn";
import { TakeView } from "./views/TakeView";
import { Takes } from "./views/Takes";
import { Voices } from "./views/Voices";

export function App() {
  const signedIn = useSignal(key) !== null;
  return (
    <>
      {signedIn ? <Inside /> : <SignIn />}
      <Toasts />
    </>
  );
}

const PLACES = [
  ["/", "Shots"],
  ["/takes", "Takes"],
  ["/voices", "Voices"],
  ["/projects", "Projects"],
] as const;

function Inside() {
  const { path, query } = usePlace();
  const me = useResource<{ email: string }>("/v1/whoami");
  const there = useSignal(reachable);
  const mode = useSignal(theme);
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <Link to="/" className="brand">
          <Mark /> <span>Lipsmith</span>
        </Link>
        <nav aria-label="Main">
          {PLACES.map(([to, name]) => (
            <Link key={to} to={to} aria-current={here(path, to) ? "page" : undefined}>
              {name}
            </Link>
          ))}
        </nav>
        <div className="row end">
          <span className="small muted who">{me.data?.email}</span>
          <button type="button" className="quiet" onClick={switchTheme} aria-label={`Switch to ${mode === "dark" ? "light" : "dark"} colours`}>
            {mode === "dark" ? "☀" : "☾"}
          </button>
          <button type="button" className="quiet" onClick={signOut}>
            Sign out
          </button>
        </div>
      </header>
      {!there && (
        <div className="away" role="status">
          The server does not answer. This page goes on by itself as soon as it does.
        </div>
      )}
      <main id="main">{view(path, query)}</main>
    </>
  );
}

function here(path: string, to: string): boolean {
  return to === "/" ? path === "/" || path.startsWith("/shots") : path.startsWith(to);
}

function view(path: string, query: URLSearchParams) {
  const number = path.match(/^\/(shots|takes)\/(\d+)$/);
  const page = Math.max(1, Number(query.get("page")) || 1);
  const words = query.get("q") ?? "";
  if (number?.[1] === "shots") return <ShotView key={path} id={Number(number[2])} />;
  if (number?.[1] === "takes") return <TakeView key={path} id={Number(number[2])} />;
  if (path === "/takes") return <Takes page={page} />;
  if (path === "/voices") return <Voices page={page} words={words} />;
  if (path === "/projects") return <Projects page={page} />;
  return <Shots page={page} project={query.get("project")} words={words} />;
}
