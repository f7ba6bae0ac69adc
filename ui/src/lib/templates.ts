import type { Typed } from './links';

/** What of a link is the same each time, under a name. */
export type Template = Typed & { name: string };

const MOST = 30;
const FIELDS = ['name', 'path', 'source', 'medium', 'content', 'term'] as const;

const key = (agency: string) => `aikit-link-templates-${agency}`;

/** The templates of an agency on this computer, by name. What cannot be read is none. */
export function readTemplates(agency: string): Template[] {
  try {
    return parseTemplates(localStorage.getItem(key(agency)));
  } catch {
    return [];
  }
}

/** Keeps them; false where this computer does not allow it. */
export function keepTemplates(agency: string, templates: Template[]): boolean {
  try {
    localStorage.setItem(key(agency), JSON.stringify(templates));
    return true;
  } catch {
    return false;
  }
}

export function parseTemplates(text: string | null): Template[] {
  try {
    const read: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(read) ? read.filter(isTemplate).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

/** With this one, which takes the place of one of its name. The oldest make room. */
export function withTemplate(templates: Template[], added: Template): Template[] {
  const others = templates.filter(({ name }) => name !== added.name);
  return [...others.slice(-(MOST - 1)), added].toSorted((a, b) => a.name.localeCompare(b.name));
}

function isTemplate(value: unknown): value is Template {
  return typeof value === 'object' && value !== null && FIELDS.every((field) => typeof (value as Record<string, unknown>)[field] === 'string');
}
