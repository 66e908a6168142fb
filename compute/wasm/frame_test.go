package wasm

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFramesRoundTrip(t *testing.T) {
	run := runFrame{seq: 7, hash: [32]byte{1, 2}, seed: [32]byte{3}, memory: 1 << 33, output: 5, log: 6}
	var gotRun runFrame
	input, err := gotRun.decode(append(run.encode(), "input"...))
	if err != nil || string(input) != "input" || gotRun != run {
		t.Errorf("run: %+v, %q, %v", gotRun, input, err)
	}
	done := doneFrame{seq: 9, outcome: outcomeOf(KindExit), exit: 3, memory: 1 << 40, dropped: 11, text: "why"}
	var gotDone doneFrame
	output, err := gotDone.decode(append(done.encode(), "output"...))
	if err != nil || string(output) != "output" || gotDone != done {
		t.Errorf("done: %+v, %q, %v", gotDone, output, err)
	}
	if diff := cmp.Diff(&Error{Kind: KindExit, Exit: 3, Text: "why"}, gotDone.err()); diff != "" {
		t.Error(diff)
	}
	setup := setupFrame{version: 1, data: 1 << 35, cache: "/var/lib"}
	var gotSetup setupFrame
	if err := gotSetup.decode(setup.encode()); err != nil || gotSetup != setup {
		t.Errorf("setup: %+v, %v", gotSetup, err)
	}
}

func TestReadFrameBounds(t *testing.T) {
	var b bytes.Buffer
	if err := writeFrame(&b, frameLog, []byte("12345")); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	if _, body, err := readFrame(bytes.NewReader(whole), 5); err != nil || string(body) != "12345" {
		t.Errorf("%q, %v", body, err)
	}
	if _, _, err := readFrame(bytes.NewReader(whole), 4); err == nil {
		t.Error("a frame over the limit was read")
	}
	for i := range whole {
		_, _, err := readFrame(bytes.NewReader(whole[:i]), 5)
		if i == 0 && err != io.EOF || i > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
	}
}

// FuzzAnswers reads a child's answers as a parent does.
func FuzzAnswers(f *testing.F) {
	var b bytes.Buffer
	_ = writeFrame(&b, frameDone, (&doneFrame{seq: 1, text: "text"}).encode(), []byte("output"))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		for {
			_, body, err := readFrame(r, 1<<16)
			if err != nil {
				return
			}
			var done doneFrame
			if output, err := done.decode(body); err == nil {
				if again := append(done.encode(), output...); !bytes.Equal(again, body) {
					t.Fatalf("%x decodes and encodes to %x", body, again)
				}
				_ = done.err()
			}
		}
	})
}
