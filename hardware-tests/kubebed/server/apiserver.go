package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// serve runs the API server with the flags that an ordinary cluster has, and the caller's after them.
func serve(ctx context.Context, listener net.Listener, dir, etcd string, flags []string) error {
	in := func(name string) string { return filepath.Join(dir, name) }
	usual := []string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--cert-dir=" + dir,
		"--tls-cert-file=" + in("server.crt"),
		"--tls-private-key-file=" + in("server.key"),
		"--token-auth-file=" + in("tokens.csv"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		// It waits for accounts that a controller would make.
		"--disable-admission-plugins=ServiceAccount",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + in("accounts.key"),
		"--service-account-signing-key-file=" + in("accounts.key"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"-v=0",
	}
	settings := options.NewServerRunOptions()
	settings.SecureServing.Listener = listener
	set := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, part := range settings.Flags().FlagSets {
		set.AddFlagSet(part)
	}
	if err := set.Parse(append(usual, flags...)); err != nil {
		return err
	}
	complete, err := settings.Complete(ctx)
	if err != nil {
		return err
	}
	return app.Run(ctx, complete)
}

// ready waits until the API server says so and its schema can be had, which comes later.
func ready(ctx context.Context, told announcement) error {
	pem, err := os.ReadFile(told.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
	}
	for _, path := range []string{"/readyz", "/openapi/v2"} {
		for !answers(ctx, client, told, path) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func answers(ctx context.Context, client *http.Client, told announcement, path string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, told.URL+path, nil)
	if err != nil {
		panic(fmt.Sprint("the address is ours: ", err))
	}
	request.Header.Set("Authorization", "Bearer "+told.Token)
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
