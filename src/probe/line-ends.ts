/**
 * Writes CR and LF where a line of an HTTP/1 answer ends with LF alone, as small servers and CGI scripts do. curl and
 * browsers accept that, and the parser of Node does not; its lenient mode would accept much else. Only lines of the
 * protocol are changed: the head, the sizes of chunks, and trailers. What is no HTTP passes as it is.
 */

const crlf = Buffer.from('\r\n');
const [cr, lf] = [0x0d, 0x0a];
/** How much of a line is kept, in characters: enough for what is read of it. */
const mostLine = 200;

export class LineEnds {
  #place: 'first' | 'head' | 'size' | 'end-of-chunk' | 'trailers' | 'rest' = 'first';
  /** The start of the line. */
  #line = '';
  #endsWithCr = false;
  /** How many bytes of a chunk are still to come. */
  #chunkBytes = 0;
  #isInterim = false;
  #isChunked = false;

  /** The part with all line ends completed. */
  complete(part: Buffer): Buffer {
    const pieces: Buffer[] = [];
    let from = 0;
    for (let at = 0; at < part.length && this.#place !== 'rest';) {
      if (this.#chunkBytes > 0) {
        const bytes = Math.min(this.#chunkBytes, part.length - at);
        this.#chunkBytes -= bytes;
        at += bytes;
        continue;
      }
      const end = part.indexOf(lf, at);
      this.#keep(part.subarray(at, end === -1 ? part.length : end));
      if (end === -1) break;
      if (!this.#endsWithCr && this.#isOfHttp()) {
        pieces.push(part.subarray(from, end), crlf);
        from = end + 1;
      }
      at = end + 1;
      this.#endLine();
    }
    return from === 0 ? part : Buffer.concat([...pieces, part.subarray(from)]);
  }

  #keep(piece: Buffer): void {
    if (piece.length > 0) this.#endsWithCr = piece.at(-1) === cr;
    if (this.#line.length < mostLine) this.#line += piece.toString('latin1', 0, mostLine);
  }

  #isOfHttp(): boolean {
    return this.#place !== 'first' || this.#line.startsWith('HTTP/');
  }

  #endLine(): void {
    const line = this.#line.trimEnd();
    this.#line = '';
    this.#endsWithCr = false;
    switch (this.#place) {
      case 'first':
        this.#place = line.startsWith('HTTP/') ? 'head' : 'rest';
        this.#isInterim = /^HTTP\/\S+ 1(?!01)/.test(line);
        this.#isChunked = false;
        break;
      case 'head':
        if (line === '') this.#place = this.#isInterim ? 'first' : this.#isChunked ? 'size' : 'rest';
        else this.#isChunked ||= /^transfer-encoding:.*chunked/i.test(line);
        break;
      case 'size': {
        const bytes = /^[0-9a-f]{1,8}/i.exec(line)?.[0];
        this.#chunkBytes = Number.parseInt(bytes ?? '', 16) || 0;
        this.#place = bytes === undefined ? 'rest' : this.#chunkBytes === 0 ? 'trailers' : 'end-of-chunk';
        break;
      }
      case 'end-of-chunk':
        this.#place = line === '' ? 'size' : 'rest';
        break;
      case 'trailers':
        if (line === '') this.#place = 'rest';
        break;
      case 'rest':
    }
  }
}
