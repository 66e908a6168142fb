package overlay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/chorus-net/chorus/overlay/client"
)

// maxSocketPath is the longest path that every Unix takes as the address of a
// socket: 104 bytes on the BSDs, one of them for the end.
const maxSocketPath = 103

// controlSocket is the listening socket of a home and what it left on disk.
type controlSocket struct {
	net.Listener
	paths []string // to remove, in order
}

// listenControl listens on the socket in home, which the caller has locked: a
// socket that lies there already belongs to a dead process and is replaced.
// Only the owner of the home may connect.
//
// Where the path is too long for a socket the socket is made in a private
// folder under the system's temporary one, with a symbolic link in the home.
func listenControl(home string) (*controlSocket, error) {
	link := filepath.Join(home, client.SocketName)
	if err := removeStale(link); err != nil {
		return nil, err
	}
	if len(link) <= maxSocketPath {
		l, err := listenPrivate(link)
		if err != nil {
			return nil, err
		}
		return &controlSocket{Listener: l, paths: []string{link}}, nil
	}

	dir, err := os.MkdirTemp("", "chorus-")
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	path := filepath.Join(dir, client.SocketName)
	s := &controlSocket{paths: []string{link, path, dir}}
	if s.Listener, err = listenPrivate(path); err == nil {
		err = os.Symlink(path, link)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on control socket: %w", err), s.remove())
	}
	return s, nil
}

// removeStale removes a socket that a dead process left at link.
func removeStale(link string) error {
	stale := controlSocket{paths: []string{link}}
	if path, err := os.Readlink(link); err == nil {
		stale.paths = append(stale.paths, path, filepath.Dir(path))
	}
	return stale.remove()
}

// listenPrivate listens on a socket that only its owner may connect to. The
// mode is set before the socket has a name, so that there is no moment when it
// is open to others; systems that refuse that set it right after.
func listenPrivate(path string) (net.Listener, error) {
	const mode = 0o600
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), mode) })
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on control socket: %w", err), l.Close())
	}
	return l, nil
}

// remove removes the socket's paths; those that are gone count as removed.
func (s *controlSocket) remove() error {
	var errs []error
	for _, path := range s.paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove control socket: %w", err))
		}
	}
	return errors.Join(errs...)
}
