// Command kubebed is a real Kubernetes API server for tests: kube-apiserver and etcd in one process.
//
// It listens on loopback, keeps everything in the folder it is given, prints one line of JSON when
// it is ready, and ends when its standard input does, so that it cannot outlive the test that
// started it. There is no kubelet, no scheduler and no controller: objects are what tests make them.
//
//	kubebed DIR [kube-apiserver flags ...]
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// announcement is the one line on standard output.
type announcement struct {
	// URL of the API server.
	URL string `json:"url"`
	// CA is the file of the certificate to trust for it.
	CA string `json:"ca"`
	// Token of a member of system:masters.
	Token string `json:"token"`
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "kubebed: expected a folder, found no argument")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "kubebed:", err)
		os.Exit(1)
	}
}

func run(dir string, flags []string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()

	listener, err := net.Listen("tcp", "127.0.0.1:"+port())
	if err != nil {
		return err
	}
	told := announcement{URL: "https://" + listener.Addr().String(), CA: filepath.Join(dir, "ca.crt")}
	if told.Token, err = token(dir); err != nil {
		return err
	}
	if err := identities(dir); err != nil {
		return err
	}
	etcd, err := startEtcd(dir)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer etcd.Close()
	endpoint := "http://" + etcd.Clients[0].Addr().String()

	var served error
	var done sync.WaitGroup
	done.Go(func() {
		defer cancel()
		served = serve(ctx, listener, dir, endpoint, flags)
	})
	if err := ready(ctx, told); err == nil {
		line, _ := json.Marshal(told)
		out := bufio.NewWriter(os.Stdout)
		_, _ = out.Write(append(line, '\n'))
		_ = out.Flush()
	}
	done.Wait()
	return served
}

// port to listen on: any, unless a server is started anew where another one was.
func port() string {
	if asked := os.Getenv("KUBEBED_PORT"); asked != "" {
		return asked
	}
	return "0"
}

// token of the administrator, kept when the folder is used again.
func token(dir string) (string, error) {
	kept := filepath.Join(dir, "admin.token")
	if old, err := os.ReadFile(kept); err == nil {
		return string(old), nil
	}
	drawn := make([]byte, 16)
	_, _ = rand.Read(drawn)
	text := hex.EncodeToString(drawn)
	line := text + ",admin,admin,system:masters\n"
	if err := os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(line), 0o600); err != nil {
		return "", err
	}
	return text, os.WriteFile(kept, []byte(text), 0o600)
}
