/*
 * Reverse is an example of a task as a module written in C: a reactor that puts out its
 * input, of at most 64 KiB, the other way round. It needs no C library.
 *
 *	clang --target=wasm32 -O2 -nostdlib -Wl,--no-entry -o reverse.wasm reverse.c
 *	peer submit reverse.wasm --input "desserts"
 *
 * A program with a main, built by a compiler for WASI (wasi-sdk, zig cc --target=wasm32-wasi),
 * is a command, which reads standard input and writes standard output.
 */
#define IMPORT(name) __attribute__((import_module("chorus"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("input") int chorus_input(char *at, int room);
IMPORT("output") void chorus_output(const char *at, int n);
IMPORT("log") void chorus_log(const char *at, int n);

static char text[64 << 10];

EXPORT("handle") int handle(void)
{
	static const char too_long[] = "input of more than 64 KiB\n";
	int n = chorus_input(text, sizeof text);

	if (n > (int)sizeof text) {
		chorus_log(too_long, sizeof too_long - 1);
		return 1;
	}
	for (int i = 0, j = n - 1; i < j; i++, j--) {
		char c = text[i];
		text[i] = text[j];
		text[j] = c;
	}
	chorus_output(text, n);
	return 0;
}
