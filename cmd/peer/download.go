package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/chorus-net/chorus/overlay/client"
)

// download writes a value to a file, by way of a file beside it that an
// interrupted download leaves: what of that is right is not fetched again.
func (c *console) download(s *client.Stream, path string) error {
	part, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return noWrite(path, err)
	}
	defer part.Close() // again, after an error
	have, err := prefix(s, part)
	if err == nil {
		err = part.Truncate(have)
	}
	if err == nil {
		_, err = part.Seek(have, io.SeekStart)
	}
	if err != nil {
		return noWrite(path, err)
	}
	if _, err := s.Seek(have, io.SeekStart); err != nil {
		return err
	}
	bar := c.newBar("get "+s.Record.Key, s.Size()-have)
	_, err = io.Copy(io.MultiWriter(part, bar), s)
	bar.end()
	if err != nil {
		return writing(path, err)
	}
	if err := errors.Join(part.Sync(), part.Close()); err != nil {
		return noWrite(path, err)
	}
	if err := os.Rename(part.Name(), path); err != nil {
		return noWrite(path, err)
	}
	if have > 0 {
		c.note("%s: %s, %s of it there already", filepath.Base(path), byteCount(s.Size()), byteCount(have))
	}
	return nil
}

// prefix returns how many bytes at the start of a file are those of the value,
// by whole chunks. A value that is not in chunks is fetched in one piece.
func prefix(s *client.Stream, part *os.File) (int64, error) {
	if !s.Record.Large {
		return 0, nil
	}
	m := s.Manifest()
	buf := make([]byte, m.Chunk)
	for i, h := range m.Hashes {
		from, to := m.Span(i)
		n, err := io.ReadFull(part, buf[:to-from])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return from, nil
		case err != nil:
			return 0, err
		case sha256.Sum256(buf[:n]) != h:
			return from, nil
		}
	}
	return m.Size, nil
}

// writing gives an error of the file a code; one of the peer has its own.
func writing(path string, err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return noWrite(path, err)
	}
	return err
}

func noWrite(path string, err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return &client.Error{Code: client.CodeNoFile, Message: fmt.Sprintf("write %s: %v", path, err)}
}
