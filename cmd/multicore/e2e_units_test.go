package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnits has systemd check the units, with this command in the place of the
// installed one.
func TestUnits(t *testing.T) {
	_, err := exec.LookPath("systemd-analyze")
	needs(t, err == nil, "systemd-analyze, of the package systemd")
	self, err := exec.LookPath("multicore")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	units, err := filepath.Glob("../../scripts/systemd/*/*.service")
	if err != nil || len(units) != 4 {
		t.Fatalf("units: %q, %v", units, err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		const installed = "ExecStart=/usr/local/bin/multicore "
		if strings.Count(string(text), installed) != 1 {
			t.Errorf("%s does not run %s", unit, installed)
		}
		manager := filepath.Base(filepath.Dir(unit)) // system or user
		here := filepath.Join(dir, manager+"-"+filepath.Base(unit))
		if err := os.WriteFile(here, []byte(strings.ReplaceAll(string(text), installed, "ExecStart="+self+" ")), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("systemd-analyze", "--"+manager, "--man=no", "verify", here)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+run)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
