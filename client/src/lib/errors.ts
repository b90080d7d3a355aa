/** An answer that is none. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly answer: unknown = null,
  ) {
    super(message);
  }
}
