import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

import { sourceHash } from "./sources";

const rememberSources: Plugin = {
  name: "remember-sources",
  generateBundle() {
    this.emitFile({ type: "asset", fileName: "SOURCES.sha256", source: `${sourceHash(import.meta.dirname)}\n` });
  },
};

export default defineConfig({
  plugins: [svelte(), rememberSources],
  worker: { format: "es" },
  build: {
    outDir: "../src/conceptome/web/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
});
