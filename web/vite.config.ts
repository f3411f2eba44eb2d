import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The built page goes into the Python package; every file but index.html carries a hash of its content in its name.
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/lipsmith/web",
    emptyOutDir: true,
    license: { fileName: "licenses.md" }, // of what is bundled, for whoever passes the wheel on
    assetsInlineLimit: 0, // the content policy allows no data: but for pictures
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000", "/api": "http://127.0.0.1:8000", "/files": "http://127.0.0.1:8000" } },
});
