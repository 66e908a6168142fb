package main

import (
	"context"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A browser draws the page of a timeline: bars of every kind, and an arrow.
func TestTimelineInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
		}
	}
	if browser == "" {
		t.Skip("there is no Chromium here: nobody has looked at the page")
	}
	page, err := handMade().page()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: processes of the browser may outlive it for a moment, and write there.
	dir, err := os.MkdirTemp("", "chorus-browser-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=1400,600", "--screenshot="+shot, "file://"+file)
	cmd.WaitDelay = 10 * time.Second
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("Chromium does not run here, so nobody has looked at the page: %v\n%s", err, said)
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Skipf("Chromium made no picture here, so nobody has looked at the page: %v", err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.RGBA]int{}
	arrow := 0 // pixels of its colour, which is laid over others
	for x := range img.Bounds().Dx() {
		for y := range img.Bounds().Dy() {
			r, g, b, _ := img.At(x, y).RGBA()
			if r > g && g > b+0x2000 {
				arrow++
			}
			count[color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}]++
		}
	}
	for what, c := range map[string]color.RGBA{
		"a run that went well": {0x4c, 0x8f, 0x5f, 255}, "one that failed": {0xc0, 0x50, 0x4d, 255}, "a backup": {0x4a, 0x7f, 0xb5, 255},
		"what it overtook": {0xaa, 0xaa, 0xaa, 255},
	} {
		if count[c] < 4 {
			t.Errorf("the page shows %d pixels of %s", count[c], what)
		}
	}
	if arrow < 20 {
		t.Errorf("the page shows %d pixels of an arrow", arrow)
	}
}
