import { defaultRangeExtractor, elementScroll, observeElementOffset, observeElementRect, Virtualizer, type VirtualizerOptions } from '@tanstack/virtual-core';
import { withActive } from './rows';

export type Shape = {
  /** How many rows there are. */
  count: number;
  /** Height of one, in px. */
  row: number;
  /** Height of what stays above them, in px. */
  head: number;
  /** The row that has the focus and is never taken away. */
  active: number;
};

const OVERSCAN = 12;

/** The rows of a long table that are on the screen or near it: TanStack's virtualizer as state. */
export class VirtualRows {
  indexes = $state.raw<readonly number[]>([]);
  readonly #virtualizer: Virtualizer<HTMLElement, Element>;
  #scroller: HTMLElement | null = null;
  #shape: Shape = { count: 0, row: 44, head: 0, active: 0 };

  constructor(readonly startAt = 0) {
    this.#virtualizer = new Virtualizer(this.#options());
  }

  /** For `{@attach}` at the element that scrolls. */
  readonly attach = (scroller: HTMLElement): (() => void) => {
    this.#scroller = scroller;
    scroller.scrollTop = this.startAt;
    const unmount = this.#virtualizer._didMount();
    this.#virtualizer._willUpdate();
    this.#read();
    return () => {
      this.#scroller = null;
      unmount();
    };
  };

  shape(shape: Shape): void {
    const sizes = shape.row !== this.#shape.row || shape.head !== this.#shape.head;
    this.#shape = shape;
    this.#virtualizer.setOptions(this.#options());
    if (sizes) this.#virtualizer.measure();
    this.#virtualizer._willUpdate();
    this.#read();
  }

  /** Brings a row onto the screen, by no more than it takes. */
  reveal(index: number): void {
    this.#virtualizer.scrollToIndex(index, { align: 'auto' });
  }

  toTop(): void {
    if (this.#scroller !== null) this.#scroller.scrollTop = 0;
  }

  /** How many whole rows are on the screen. */
  get page(): number {
    const { row, head } = this.#shape;
    return Math.max(1, Math.floor(((this.#scroller?.clientHeight ?? 0) - head) / row));
  }

  #options(): VirtualizerOptions<HTMLElement, Element> {
    const { count, row, head, active } = this.#shape;
    return {
      count,
      getScrollElement: () => this.#scroller,
      estimateSize: () => row,
      observeElementRect,
      observeElementOffset,
      scrollToFn: elementScroll,
      onChange: () => this.#read(),
      overscan: OVERSCAN,
      initialOffset: this.startAt,
      scrollMargin: head,
      scrollPaddingStart: head,
      rangeExtractor: (range) => withActive(defaultRangeExtractor(range), active, count),
    };
  }

  #read(): void {
    this.indexes = this.#virtualizer.getVirtualIndexes();
  }
}
