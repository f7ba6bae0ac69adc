export type Theme = 'system' | 'light' | 'dark';

const KEY = 'aikit-theme';
const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };

/** Light, dark, or as the system says; remembered on this computer where that is allowed. */
class ThemeChoice {
  value = $state<Theme>(read());

  constructor() {
    show(this.value);
  }

  turn(): void {
    this.value = NEXT[this.value];
    show(this.value);
    try {
      localStorage.setItem(KEY, this.value);
    } catch {
      // The choice then holds until the page is closed.
    }
  }
}

function read(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    return 'system';
  }
}

function show(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export const theme = new ThemeChoice();
