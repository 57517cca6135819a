// Daily reports in the browser and as files, and an export of what is on the map.

import { el, fill } from "../dom.js";
import { t, when } from "../text.js";
import { listed } from "./doing.js";
import { connection, empty, failed, heading, loading, scope } from "./parts.js";
import { may } from "./may.js";
import { bounds } from "./urgency.js";

export const name = "reports";
export const title = "reports.title";

const TABLES = ["incidents", "findings", "events", "tracks"];
const FORMS = { csv: "CSV", geojson: "GeoJSON", parquet: "GeoParquet" };

export function mount(element, state, api) {
  const session = state.get().session;
  const above = el("div", {});
  const list = el("div", { class: "reports" }, loading());
  const now = may(session, "operate") && el("button", { type: "button", on: { click: write } }, t("reports.write"));
  const out = el("div", { class: "export" });
  fill(
    element,
    heading(t("reports.title")),
    above,
    scope(session),
    list,
    now && el("p", {}, now),
    el("section", {}, el("h3", {}, t("export.title")), el("p", { class: "soft" }, t("export.what")), out),
  );

  async function load() {
    try {
      const reports = listed(await api.get("/api/reports"), "reports");
      fill(list, reports.length ? el("ol", {}, reports.map(day)) : empty(t("reports.none"), t("reports.none.do")));
    } catch (error) {
      fill(list, failed(error, load, session));
    }
  }

  async function write() {
    now.disabled = true;
    fill(list, loading());
    try {
      await api.post("/api/reports", {});
      await load();
    } catch (error) {
      fill(list, failed(error, load, session));
    }
    now.disabled = false;
  }

  function day(one) {
    const files = (one.files ?? []).map((file) => (typeof file === "string" ? { name: file } : file));
    const path = (file) => file.href ?? `/api/reports/${one.day}/${one.edition}/${encodeURIComponent(file.name)}`;
    const html = files.find((file) => file.name.endsWith(".html"));
    const link = (file) =>
      el(
        "a",
        {
          href: path(file),
          target: file === html ? "_blank" : null,
          rel: "noopener",
          download: file === html || file.name.endsWith(".pdf") ? null : file.name,
        },
        file === html ? t("reports.read") : file.name.split(".").pop()?.toUpperCase(),
      );
    return el(
      "li",
      { class: "report" },
      el("b", {}, when(`${one.day}T12:00:00Z`, "date")),
      el("span", { class: "soft" }, t("reports.edition", { edition: one.edition })),
      one.label && el("span", { class: "soft" }, t(`label.short.${one.label}`)),
      el("span", { class: "files" }, [html, ...files.filter((file) => file !== html)].filter(Boolean).map(link)),
    );
  }

  /** What is on the map, as links: the same place, time and filters. */
  function links() {
    const values = state.get();
    const box = bounds(values.map, document.getElementById("map"));
    const query = new URLSearchParams();
    if (box) query.set("bbox", box);
    if (values.mode !== "live" && values.at) {
      const window_h = values.mission?.window_h ?? 48;
      const from = new Date(values.at.getTime() - window_h * 3_600_000);
      query.set("datetime", `${from.toISOString().slice(0, 19)}Z/${values.at.toISOString().slice(0, 19)}Z`);
      if (values.knowledge === "known") query.set("as_of", `${values.at.toISOString().slice(0, 19)}Z`);
    }
    const tables = session?.label === "mission" ? TABLES : TABLES.filter((one) => one !== "tracks");
    const address = (table, form) => {
      const own = new URLSearchParams(query);
      own.set("f", form);
      for (const key of ["clause", "severity", "reading"])
        if (table === "findings" && values.filters[key]) own.set(key, values.filters[key]);
      return `/api/export/${table}?${own}`;
    };
    const line = (table) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, t(`export.${table}`)),
        Object.entries(FORMS).map(([form, label]) =>
          el(
            "td",
            {},
            el(
              "a",
              { href: address(table, form), download: "", "aria-label": `${t(`export.${table}`)}, ${label}` },
              label,
            ),
          ),
        ),
      );
    fill(
      out,
      el(
        "p",
        {},
        box ? t("export.box") : t("export.everywhere"),
        " ",
        values.mode === "live" ? t("export.now") : t("export.then", { at: when(values.at, "whole") }),
      ),
      el(
        "table",
        {},
        el(
          "thead",
          { class: "unseen" },
          el(
            "tr",
            {},
            el("th", { scope: "col" }, t("export.table")),
            Object.values(FORMS).map((label) => el("th", { scope: "col" }, label)),
          ),
        ),
        el("tbody", {}, tables.map(line)),
      ),
    );
  }

  const connected = () => fill(above, connection(state.get()));
  const stops = [state.on(["map", "mode", "at", "knowledge", "mission"], links), state.on("connection", connected)];
  connected();
  links();
  load();
  return () => stops.forEach((stop) => stop());
}
