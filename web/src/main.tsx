import { createRoot } from "react-dom/client";
import { App } from "./App";
import "./styles.css";
import { followTheme } from "./theme";

followTheme();
createRoot(document.getElementById("root")!).render(<App />);
