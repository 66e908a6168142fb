package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// run has the child run a loaded module.
func (c *child) run(ctx context.Context, hash [hashSize]byte, req *Request, limits Limits) (Result, error) {
	var (
		result Result
		done   doneFrame
	)
	began := time.Now()
	late := failure(KindTime, "it ran for more than %v", limits.Time)
	// What the module asks for ends with the child, not before it: the module is not
	// to see that its time is over.
	asked, forget := merge(context.WithoutCancel(ctx), c.life)
	defer forget()
	err := c.within(ctx, limits.Time, late, func() error {
		c.seq++
		frame := runFrame{
			seq: c.seq, hash: hash, seed: req.Seed,
			memory: limits.Memory, output: limits.Output, log: limits.Log, parts: req.Parts,
		}
		if err := writeFrame(c.in, frameRun, frame.encode(), req.Input); err != nil {
			return err
		}
		for {
			kind, body, err := readFrame(c.answers, maxAnswer+int(max(limits.Output, limits.Log)))
			if err != nil {
				return err
			}
			switch kind {
			case frameLog:
				if len(body) < 4 || binary.LittleEndian.Uint32(body) != c.seq || int64(len(result.Log)+len(body)-4) > limits.Log {
					return errors.New("unexpected log")
				}
				result.Log = append(result.Log, body[4:]...)
			case frameAsk:
				if err := c.serve(asked, req.Store, body); err != nil {
					return err
				}
			case frameDone:
				result.Output, err = c.accept(&done, body, int(limits.Output))
				return err
			default:
				return fmt.Errorf("unexpected frame %d", kind)
			}
		}
	})
	result.Elapsed = time.Since(began)
	if err == nil {
		result.Memory, result.LogDropped, result.Warm = int64(done.memory), int64(done.dropped), done.warm
		result.Spawned = done.spawned
		err = done.err()
	}
	if err != nil {
		result.Output, result.Spawned = nil, nil
	}
	return result, err
}

// maxAnswer is what a frame of the child's takes at most beside an output or a log.
const maxAnswer = doneFrameSize + maxText + maxBlobs + askFrameSize + MaxKey + MaxValue

func (c *child) accept(done *doneFrame, body []byte, limit int) ([]byte, error) {
	output, err := done.decode(body)
	if err != nil {
		return nil, err
	}
	if done.seq != c.seq || len(output) > limit || sizeOf(done.spawned) > MaxPartBytes {
		return nil, fmt.Errorf("answer %d with %d bytes to request %d", done.seq, len(output), c.seq)
	}
	return output, nil
}

// serve answers one question of the module's. An error is one of the protocol or
// of the pipe: what the store makes of it is the module's to know.
func (c *child) serve(ctx context.Context, store Store, body []byte) error {
	var question askFrame
	value, err := question.decode(body)
	switch {
	case err != nil:
		return err
	case question.seq != c.seq:
		return fmt.Errorf("question of run %d in run %d", question.seq, c.seq)
	case len(value) > MaxValue || question.ask == askGet && len(value) > 0:
		return fmt.Errorf("question with a value of %d bytes", len(value))
	}
	var found []byte
	switch {
	case question.ask != askGet && question.ask != askPut:
		return fmt.Errorf("question of kind %d", question.ask)
	case store == nil:
		err = fmt.Errorf("key %q: %w: the task was submitted without a namespace for its module", question.key, ErrNotGranted)
	case question.ask == askGet:
		found, err = store.Get(ctx, question.key)
	default:
		err = store.Put(ctx, question.key, value)
	}
	reply := replyFrame{seq: c.seq}
	switch {
	case err == nil && len(found) > MaxValue:
		err = fmt.Errorf("value of %d bytes; a module is handed at most %d", len(found), MaxValue)
		reply.verdict = verdictFailed
	case errors.Is(err, ErrNoKey):
		reply.verdict = verdictNotFound
	case errors.Is(err, ErrNotGranted):
		reply.verdict = verdictRefused
	case err != nil:
		reply.verdict = verdictFailed
	}
	if err != nil {
		text := err.Error()
		found = []byte(text[:min(len(text), maxText)])
	}
	return writeFrame(c.in, frameReply, reply.encode(), found)
}
