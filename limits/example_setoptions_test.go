package limits_test

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/imapgate/imapgate/limits"
)

// load reads the limits from a file that has only the differences from the defaults. For YAML or
// TOML, replace json.Unmarshal with that of the library; nothing else changes.
func load(path string) (*limits.Options, error) {
	options := limits.DefaultOptions()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, options)
	}
	if err == nil {
		err = options.Validate()
	}
	return options, err
}

// reload reads the file again at each signal. If the file has a mistake, nothing changes.
func reload(limiter *limits.Limiter, path string, signals <-chan os.Signal) {
	for range signals {
		options, err := load(path)
		if err == nil {
			err = limiter.SetOptions(options)
		}
		if err != nil {
			log.Printf("limits stay as they are: %v", err)
		}
	}
}

// Limits from a file that is read again at SIGHUP.
func ExampleLimiter_SetOptions() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "limits.json")
	os.WriteFile(path, []byte(`{"maxLoginsPerUser": 10, "fetchQueueTimeout": "20s"}`), 0o600)
	options, err := load(path)
	if err != nil {
		log.Fatal(err)
	}
	limiter := limits.New(options)
	defer limiter.Close()
	fmt.Println(limiter.Options().MaxLoginsPerUser, "logins")

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	// A program would run: go reload(limiter, path, signals)

	os.WriteFile(path, []byte(`{"maxLoginsPerUser": 30}`), 0o600)
	signal.Stop(signals)
	signals <- syscall.SIGHUP
	close(signals)
	reload(limiter, path, signals)
	fmt.Println(limiter.Options().MaxLoginsPerUser, "logins")
	// Output:
	// 10 logins
	// 30 logins
}
